// The Hyperswarm stack of one process on the real loop: DHT node, UDX, peer host and, for members of a router, the swarm.
//
//   open(): bind, bootstrap in the background ─▶ swarm(): join topics ─▶ close(): leave, then the DHT node
#pragma once

#include <functional>
#include <memory>

#include "app/config.h"
#include "dht/node.h"
#include "io/loop.h"
#include "io/network_watch.h"
#include "peer/host.h"
#include "swarm/swarm.h"
#include "udx/udx.h"

namespace hg::app {

/// The DHT was joined and still answers.
inline bool joined(const dht::Node& node) { return node.ready() && node.table_size() > 0 && node.health() != dht::Health::kOffline; }

class Network {
 public:
  explicit Network(io::Loop& loop) : loop_(loop) {}
  ~Network();

  /// A node that uses the DHT (provider, gateway, scan).
  Expected<void> open(const Config& config);
  /// A node that is the DHT (`hypergate dht`): persistent, stores and relays.
  Expected<void> open_dht_node(const Config& config);

  dht::Node& dht() { return *node_; }
  peer::Host& host() { return *host_; }
  /// Made at the first call, with a fresh key pair.
  swarm::Swarm& swarm();
  /// Leaves politely; `done` runs after a few seconds at the latest.
  void close(std::function<void()> done);

 private:
  Expected<void> start(dht::NodeOptions options);

  io::Loop& loop_;
  std::unique_ptr<udx::Mux> mux_;
  std::unique_ptr<dht::Node> node_;
  std::unique_ptr<peer::Host> host_;
  std::unique_ptr<swarm::Swarm> swarm_;
  std::unique_ptr<io::NetworkWatch> watch_;
};

}  // namespace hg::app
