// The value types of the DHT's RPC: what is asked, what came back, what was asked of us.
//
// Owned values, safe to copy and keep. Times are monotonic durations; addresses IPv4.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/expected.h"
#include "base/ids.h"
#include "base/time.h"
#include "base/udp_socket.h"
#include "wire/hyperdht.h"
#include "wire/rpc.h"

namespace hg::dht {

class Node;

/// Node id = BLAKE2b-256 of the six address bytes.
Hash32 node_id(const Endpoint& address);
/// Target under which a peer is found = BLAKE2b-256 of its public key; also the hash of immutable values.
Hash32 hash_target(ByteView bytes);

/// What a request asks. External (hyperdht) commands unless `internal`.
struct Command {
  uint64_t command = 0;
  std::optional<Hash32> target{};
  std::optional<Bytes> value{};
  std::optional<Hash32> token{};
  bool internal = false;
};

/// An answer, errors of the remote side included (`error` ≠ 0).
struct Response {
  Endpoint from;             // source of the datagram
  Endpoint to;               // ourselves as the sender sees us
  std::optional<Hash32> id;  // present and equal to node_id(from): a persistent node
  std::optional<Hash32> token;
  std::vector<Endpoint> closer_nodes;
  uint64_t error = 0;
  std::optional<Bytes> value;
  Duration rtt{};
  UdpSocket* socket = nullptr;  // that received it; valid during the callback only
};

using ResponseCallback = std::function<void(Expected<Response>)>;

struct RequestOptions {
  UdpSocket* socket = nullptr;  // default: the node's current socket; others must have been attached with Node::attach_socket()
  int retries = 3;              // dht-rpc 6.27: four sends in all
  Duration timeout{};           // per attempt; zero: adaptive, at most 1 s (dht-rpc's fixed value)
  int ttl = UdpSocket::kDefaultTtl;
  std::function<void()> on_slow{};  // once, at the first timeout of an attempt
};

/// Holds one request. Destroying or cancelling it silences its callback; detach() lets it run unheld.
/// Safe to keep beyond the node.
class RequestHandle {
 public:
  RequestHandle() = default;
  explicit RequestHandle(std::weak_ptr<std::function<void()>> cancel) : cancel_(std::move(cancel)) {}
  ~RequestHandle() { cancel(); }
  RequestHandle(RequestHandle&&) noexcept = default;
  RequestHandle& operator=(RequestHandle&& other) noexcept {
    if (this == &other) return *this;
    cancel();
    cancel_ = std::move(other.cancel_);
    return *this;
  }

  void cancel() {
    if (const auto run = std::exchange(cancel_, {}).lock()) (*run)();
  }
  void detach() { cancel_.reset(); }
  /// The callback is still to come.
  bool active() const { return !cancel_.expired(); }

 private:
  std::weak_ptr<std::function<void()>> cancel_;
};

struct ReplyOptions {
  bool token = true;            // put a fresh token in
  bool closer_nodes = true;     // put our closest nodes to the target in, if there is a target
  UdpSocket* socket = nullptr;  // default: the socket the request came in on
};

/// A request that reached us. Copy it to answer later; it must not be used beyond the node. Answering
/// through a socket that has been detached meanwhile is a no-op.
class IncomingRequest {
 public:
  uint16_t tid = 0;
  Endpoint from;                  // source of the datagram
  std::optional<Hash32> from_id;  // validated
  Endpoint to;                    // ourselves as the sender sees us
  UdpSocket* socket = nullptr;    // that received it
  bool via_server_socket = false;
  /// Arrived on a socket that is not the one we send from: its `to` says nothing about our mapping.
  bool external = false;
  bool internal = false;
  uint64_t command = 0;
  std::optional<Hash32> target;
  std::optional<Hash32> token;  // already checked: a wrong one never gets this far
  std::optional<Bytes> value;

  void reply(std::optional<Bytes> value, const ReplyOptions& options = {}) const;
  /// Error reply; codes in wire::RpcError and wire::DhtError.
  void error(uint64_t code, const ReplyOptions& options = {.token = false}) const;
  /// A response with this request's tid to someone else; neither token nor closer nodes.
  void reply_to(const Endpoint& to, std::optional<Bytes> value, UdpSocket* socket = nullptr) const;
  /// Forwards as a request with this tid, command and target, the new value and no token. No answer is tracked.
  void relay(const Endpoint& to, Bytes value, UdpSocket* socket = nullptr) const;

  Node* node = nullptr;
};

/// How to reach a peer that announced itself here.
struct Route {
  Endpoint relay;  // source address of its ANNOUNCE: where to forward to
  Bytes record;    // encoded wire::Peer
};

using CommandHandler = std::function<void(IncomingRequest&)>;

}  // namespace hg::dht
