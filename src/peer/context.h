// What the parts of a Host share: the node, the mux, punch sockets, and process-wide limits.
//
// Owned by HostImpl; outlives servers and attempts. One thread.
#pragma once

#include <deque>
#include <unordered_map>

#include "base/runtime.h"
#include "dht/node.h"
#include "peer/host.h"
#include "peer/punch_socket.h"
#include "peer/random_punch_guard.h"
#include "udx/udx.h"

namespace hg::peer {

/// Nodes through which a key was reached before; the oldest is forgotten beyond kMax.
class RelayCache {
 public:
  static constexpr size_t kMax = 512;

  void set(const PublicKey& key, std::vector<Endpoint> nodes);
  std::vector<Endpoint> get(const PublicKey& key) const;

 private:
  std::unordered_map<PublicKey, std::vector<Endpoint>, ArrayHash> entries_;
  std::deque<PublicKey> order_;
};

struct Context {
  Context(Runtime& r, dht::Node& n, udx::Mux& m) : runtime(r), node(n), mux(m), punch_sockets(r, n, m) {}

  Runtime& runtime;
  dht::Node& node;
  udx::Mux& mux;
  PunchSockets punch_sockets;
  RandomPunchGuard random_punches;
  RelayCache relay_cache;
  RelaySource* relays = nullptr;
  HostCounters counters;

  /// Addresses of our interfaces with the server socket's port; loopback only when there is nothing else.
  std::vector<Endpoint> local_addresses() const;
  /// Every peer sees us at another port: nobody else's random port can be met.
  bool randomized() const {
    const auto seen_as = node.external_address();
    return seen_as && seen_as->port == 0;
  }
  TimePoint now() const { return runtime.now(); }
};

}  // namespace hg::peer
