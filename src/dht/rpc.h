// Outstanding requests of a node: ids, attempts, timeouts, congestion window (npm dht-rpc 6.27 lib/io).
//
//   send ─► [window full: queued, drained every 750 ms] ─► on the wire ─► response ─► callback
//                          ▲                                   │ timeout: same bytes again, ≤ retries
//                          └───────────────────────────────────┴─► REQUEST_TIMEOUT
//
// A response must carry the request's tid and come from where the request went; one from a private address
// is taken too (multi-homed hosts, hairpin NAT), as the reference matches by tid alone. Owned by the node;
// one thread. Attempts time out after an RTT-based time at first, at last after dht-rpc's 1 s.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>

#include "dht/congestion_window.h"
#include "dht/node.h"

namespace hg::dht {

class Rpc {
 public:
  /// More outstanding requests are refused with REQUEST_OVERFLOW.
  static constexpr size_t kMaxOutstanding = 8192;

  explicit Rpc(Node& node);
  ~Rpc();

  RequestHandle send(const Endpoint& to, Command command, ResponseCallback callback, RequestOptions options);
  void on_response(UdpSocket& socket, const Endpoint& from, wire::RpcResponse&& message);
  /// Fails what goes through `socket`, or everything, with REQUEST_DESTROYED. Callbacks run inside this call.
  void fail(const UdpSocket* socket);
  size_t outstanding() const { return requests_.size(); }
  NodeCounters counters;

 private:
  struct Request;
  using Shared = std::shared_ptr<Request>;

  Shared make(const Endpoint& to, Command command, ResponseCallback callback, RequestOptions options);
  RequestHandle refuse(const Shared& request, Error error);
  void transmit(const Shared& request);
  void transmit_now(const Shared& request);
  void on_timeout(uint16_t tid);
  void finish(const Shared& request, Expected<Response> outcome);
  void drain();
  Duration attempt_timeout(const Request& request) const;
  void sample_rtt(Duration rtt);

  Node& node_;
  Runtime& runtime_;
  std::unordered_map<uint16_t, Shared> requests_;
  std::deque<std::weak_ptr<Request>> waiting_;
  CongestionWindow window_;
  Timer drain_timer_;
  uint16_t next_tid_;
  std::optional<Duration> smoothed_rtt_;
  Duration rtt_variance_{};
};

}  // namespace hg::dht
