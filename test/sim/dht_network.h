// A private DHT on a virtual-time network: one bootstrap node, any number of persistent and ephemeral ones.
//
//   DhtNetwork net(seed);  net.add_persistent(20);  dht::Node& user = net.add_user();  net.settle();
//
// Owns world, hosts and nodes. Each node has a host of its own with a public address.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "crypto/crypto.h"
#include "dht/node.h"
#include "sim/world.h"

namespace hg::sim {

class DhtNetwork {
 public:
  explicit DhtNetwork(uint64_t seed = 1) : world(seed) {
    crypto::init();
    world.set_default_path({.delay = 10ms});
    dht::NodeOptions options = persistent_options();
    options.bootstrap = {};
    options.host = parse_ipv4("8.0.0.1");
    add("8.0.0.1", options);
  }
  ~DhtNetwork() {
    for (auto& node : nodes) node.reset();
  }

  static constexpr const char* kBootstrap = "8.0.0.1:49737";

  static dht::NodeOptions persistent_options() {
    dht::NodeOptions options;
    options.bootstrap = {kBootstrap};
    options.ephemeral = dht::NodeOptions::Ephemeral::kNever;
    options.firewalled = false;
    return options;
  }
  static dht::NodeOptions user_options() {
    dht::NodeOptions options;
    options.bootstrap = {kBootstrap};
    return options;
  }

  dht::Node& add(const std::string& address, dht::NodeOptions options) {
    hosts.push_back(&world.add_host(address));
    nodes.push_back(std::make_unique<dht::Node>(*hosts.back(), std::move(options)));
    if (!nodes.back()->start()) throw std::runtime_error("bind failed");
    return *nodes.back();
  }
  std::string next_address() { return "8.1." + std::to_string(nodes.size() / 250) + "." + std::to_string(nodes.size() % 250 + 1); }
  void add_persistent(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      add(next_address(), persistent_options());
      world.run_for(200ms);
    }
  }
  dht::Node& add_user() { return add(next_address(), user_options()); }
  bool settle() {
    return world.run_until(
        [&] {
          for (const auto& node : nodes)
            if (node && !node->ready()) return false;
          return true;
        },
        60s);
  }
  /// A node vanishes without a word.
  void kill(size_t index) {
    nodes[index].reset();
    hosts[index]->set_up(false);
  }

  World world;
  std::vector<Host*> hosts;
  std::vector<std::unique_ptr<dht::Node>> nodes;
};

}  // namespace hg::sim
