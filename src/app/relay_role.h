// A member's part as a blind relay for other members: on while the process can be reached, unless told not to (--noRelay).
//
//   reachable (open, or the same port for everybody) ─▶ serve under a fresh key, tell every peer
//   random NAT, address unknown, for a while (reachability.h) ─▶ stop, tell every peer
//
// Members who have a session with us may use it, and go through it to whomever they like. Owned by Member; Network and tunnel node
// outlive it. One thread.
#pragma once

#include <memory>

#include "app/network.h"
#include "app/reachability.h"
#include "tunnel/node.h"

namespace hg::app {

/// What a member has done as a relay, for metrics and statistics.
struct RelayFigures {
  bool serving = false;
  size_t open_pairs = 0;
  peer::BlindRelayCounters totals;  // of the whole run
};

class RelayRole final : private dht::NodeListener {
 public:
  /// `bandwidth`: bits a second over all pairs, both directions; one pair gets half of it.
  RelayRole(io::Loop& loop, Network& network, tunnel::Node& node, uint64_t bandwidth);
  ~RelayRole() override;

  RelayFigures figures() const;
  /// Ends every pair and leaves; `done` is called once, later.
  void stop(std::function<void()> done);

 private:
  void on_ready() override { review(); }
  void on_nat_update() override { review(); }
  void on_network_change() override { review(); }

  bool reachable() const;
  void review();
  void serve();
  void retire();

  io::Loop& loop_;
  Network& network_;
  tunnel::Node& node_;
  const uint64_t bandwidth_;
  std::unique_ptr<peer::BlindRelayServer> server_;
  peer::BlindRelayCounters former_;  // of servers that have retired
  Reachability reachability_;
  bool stopping_ = false;
  Timer review_;
};

}  // namespace hg::app
