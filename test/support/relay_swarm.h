// Swarms whose members go through each other, in virtual time, for tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "support/swarm_member.h"

namespace hg::swarm::test {

using sim::NatKind;
using sim::Peer;
using sim::PeerNetwork;

inline constexpr Topic kTopic{7};

/// A member that echoes.
struct Node : Member {
  Node(Peer& p, uint8_t n) : Member(p, key(n)), keys(key(n)) {
    echo = true;
    greeting.clear();
  }
  void join() { Member::join(kTopic); }
  sim::Collector* link(const Node& other) { return Member::link(other.keys); }
  bool relayed_to(const Node& other) { return Member::relayed_to(other.keys); }

  KeyPair keys;
};

class SwarmRelays : public ::testing::Test {
 protected:
  Node& add(std::optional<NatKind> kind, uint8_t n) {
    Peer& peer = net_.add(kind);
    hosts_.push_back(net_.hosts.back());
    nodes_.push_back(std::make_unique<Node>(peer, n));
    return *nodes_.back();
  }
  /// Everybody who is connected to `relay` hears of its relay key, now and later.
  void advertise(Node& relay) {
    const PublicKey as = relay.blind_relay->public_key();
    for (const auto& node : nodes_) {
      if (node.get() == &relay) continue;
      const auto tell = [&relay, &node = *node, as](const PublicKey& who) {
        if (who == relay.keys.public_key) node.swarm->set_relay(who, as);
      };
      const auto before = node->on_link;
      node->on_link = [before, tell](const PublicKey& who) {
        if (before) before(who);
        tell(who);
      };
      if (node->link(relay) != nullptr) tell(relay.keys.public_key);
    }
  }
  bool until(const std::function<bool()>& done, Duration limit = 60s) {
    const TimePoint start = net_.world.now();
    const bool ok = net_.world.run_until(done, limit);
    took_ = net_.world.now() - start;
    return ok;
  }
  void expect_echo(sim::Collector& link) {
    link.received.clear();
    link.send(Bytes(20000, 5));
    EXPECT_TRUE(until([&] { return link.received.size() >= 20000; }));
  }
  void TearDown() override {
    nodes_.clear();
    net_.world.run_for(1s);
  }

  explicit SwarmRelays(uint64_t seed = 1) : net_(seed) {}

  PeerNetwork net_;
  std::vector<sim::Host*> hosts_;
  /// `relay` serves and is known to all; then the other two join.
  bool meet_through(Node& relay, Node& a, Node& b) {
    relay.serve_relay(30);
    relay.join();
    net_.world.run_for(5s);
    advertise(relay);
    a.join();
    b.join();
    return until([&] { return a.relayed_to(b) && b.relayed_to(a); });
  }

  std::vector<std::unique_ptr<Node>> nodes_;
  Duration took_{};
};

}  // namespace hg::swarm::test
