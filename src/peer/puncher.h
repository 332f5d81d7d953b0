// One attempt to open a path through NATs: the sockets, the analysis of our own NAT, what is known of
// the other side, and the probes of a nat::PunchPlan.
//
//   new ─▶ sampling (pings to DHT nodes) ─▶ analyze() ─▶ punch() ─▶ on_connect (initiator: first probe heard)
//                  ▲ unstable: fresh socket ┘                  └──▶ on_abort (plan over, nothing heard)
//
// A responder echoes probes and goes on; its success is a UDX packet on its stream, which its owner sees.
// Owned by a server slot or a connector; destroying it is silent. Source: hyperdht 6.34 lib/holepuncher, lib/nat.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "base/timer.h"
#include "dht/message.h"
#include "nat/punch_plan.h"
#include "nat/sampler.h"
#include "peer/context.h"

namespace hg::peer {

class Puncher {
 public:
  struct Events {
    std::function<void(std::shared_ptr<PunchSocket>, const Endpoint&)> on_connect;
    std::function<void()> on_abort;
  };
  using Analyzed = std::function<void(bool stable)>;

  Puncher(Context& context, bool initiator, wire::Firewall remote_firewall, Events events);
  ~Puncher();
  Puncher(const Puncher&) = delete;
  Puncher& operator=(const Puncher&) = delete;

  /// False when no socket could be opened; nothing else may be called then.
  bool usable() const { return !sockets_.empty(); }
  bool stopped() const { return stopped_; }
  const std::shared_ptr<PunchSocket>& socket() const { return sockets_.front(); }
  nat::Sampler& sampler() { return *sampler_; }

  /// Calls back (never from inside) when the analysis of our NAT is over. With `allow_reopen` an unstable one is repeated on up to three
  /// fresh sockets.
  void analyze(bool allow_reopen, Analyzed callback);
  /// What the other side said of itself; `verified` is a host known to receive what is sent to it.
  void update_remote(const wire::HolepunchPayload& payload, std::optional<uint32_t> verified);
  bool remote_punching() const { return remote_punching_; }
  wire::Firewall remote_firewall() const { return remote_firewall_; }

  void ping(const Endpoint& to) { socket()->send_probe(to, false); }
  /// Opens our NAT towards `to` without reaching it.
  void open_session(const Endpoint& to) { socket()->send_probe(to, true); }
  /// Starts punching; false when no strategy fits. Once started, true.
  bool punch();
  bool punching() const { return plan_.has_value(); }
  bool involves_random() const;
  /// The other side's host, once it is known to receive what is sent there.
  std::optional<uint32_t> verified_host() const;
  /// Releases every socket but the first, which replies may still leave from; no event follows. `path_found`: this is why.
  void stop(bool path_found = false);
  /// Stops and releases that one, too: socket() is not to be called any more.
  void release();

 private:
  static constexpr int kMaxReopens = 3;
  static constexpr size_t kMaxWaiters = 16;

  void start_sampling();
  void sample(bool retry);
  void on_sample_done(bool retry);
  void add_socket(std::shared_ptr<PunchSocket> socket);
  void on_probe(const std::weak_ptr<PunchSocket>& socket, const Endpoint& from);
  bool unstable() const;
  void settle();
  void run_waiters();
  void reopen();
  void on_plan_timer();
  void abort();

  Context& context_;
  bool initiator_;
  Events events_;
  std::vector<std::shared_ptr<PunchSocket>> sockets_;
  std::unique_ptr<nat::Sampler> sampler_;

  std::vector<dht::RequestHandle> pings_;
  std::set<Endpoint> asked_;
  size_t pings_out_ = 0;
  bool analysis_over_ = false;
  bool reopening_ = false;
  int reopens_ = 0;
  struct Waiter {
    bool allow_reopen;
    Analyzed callback;
  };
  std::vector<Waiter> waiters_;

  wire::Firewall remote_firewall_;
  bool remote_punching_ = false;
  std::vector<nat::RemoteAddress> remote_addresses_;

  std::optional<nat::PunchPlan> plan_;
  bool counted_random_ = false;
  bool stopped_ = false;
  Timer plan_timer_;
  Timer settle_timer_;
};

}  // namespace hg::peer
