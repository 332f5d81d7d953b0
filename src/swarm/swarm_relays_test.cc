// Swarms whose members go through each other, in virtual time.
#include <gtest/gtest.h>

#include <map>

#include "sim/peer_network.h"
#include "swarm/relay_book.h"
#include "swarm/swarm.h"

namespace hg::swarm {
namespace {

using sim::Collector;
using sim::NatKind;
using sim::Peer;
using sim::PeerNetwork;

KeyPair key(uint8_t n) { return crypto::key_pair_from_seed(Seed{n}); }
const Topic kTopic{7};

/// A member that tells its peers of relays as the tunnel would.
struct Node {
  Node(Peer& p, uint8_t n) : peer(p), keys(key(n)) {
    SwarmOptions options;
    options.key_pair = keys;
    swarm = std::make_unique<Swarm>(p.runtime, *p.host, std::move(options));
    swarm->set_on_connection([this](std::unique_ptr<noise::Connection> c, const PeerInfo& info) {
      auto& slot = links[info.key];
      if (slot) past.push_back(std::move(slot));
      slot = std::make_unique<Collector>(std::move(c), true);
      if (on_link) on_link(info.key);
    });
  }
  ~Node() {
    discovery.reset();
    links.clear();
    past.clear();
    swarm.reset();
    relay.reset();
  }
  void join() { discovery = swarm->join(kTopic); }
  Collector* link(const Node& other) {
    const auto found = links.find(other.keys.public_key);
    return found == links.end() || found->second->closed ? nullptr : found->second.get();
  }
  bool relayed_to(const Node& other) {
    Collector* c = link(other);
    return c != nullptr && c->connection->stats().relayed;
  }
  void serve_relay(uint8_t n) {
    peer::BlindRelayOptions options;
    options.key_pair = key(n);
    options.admit = [this](const PublicKey& who) { return links.contains(who) && !links.at(who)->closed; };
    relay = std::move(*peer.host->serve_relay(std::move(options)));
  }

  Peer& peer;
  KeyPair keys;
  std::unique_ptr<peer::BlindRelayServer> relay;
  std::unique_ptr<Swarm> swarm;
  std::unique_ptr<Discovery> discovery;
  std::map<PublicKey, std::unique_ptr<Collector>> links;
  std::vector<std::unique_ptr<Collector>> past;
  std::function<void(const PublicKey&)> on_link;
};

class SwarmRelays : public ::testing::Test {
 protected:
  Node& add(std::optional<NatKind> kind, uint8_t n) {
    Peer& peer = kind ? net_.add_behind_nat(*kind) : net_.add_open();
    hosts_.push_back(net_.hosts.back());
    nodes_.push_back(std::make_unique<Node>(peer, n));
    return *nodes_.back();
  }
  /// Everybody who is connected to `relay` hears of its relay key, now and later.
  void advertise(Node& relay) {
    const PublicKey as = relay.relay->public_key();
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
  void block(size_t a, size_t b) { net_.world.set_path(*hosts_[a], *hosts_[b], {.loss = 1}); }
  bool until(const std::function<bool()>& done, Duration limit = 60s) {
    const TimePoint start = net_.world.now();
    const bool ok = net_.world.run_until(done, limit);
    took_ = net_.world.now() - start;
    return ok;
  }
  void expect_echo(Collector& link) {
    link.received.clear();
    link.send(Bytes(20000, 5));
    EXPECT_TRUE(until([&] { return link.received.size() >= 20000; }));
  }
  void TearDown() override {
    nodes_.clear();
    net_.world.run_for(1s);
  }

  PeerNetwork net_;
  std::vector<sim::Host*> hosts_;
  std::vector<std::unique_ptr<Node>> nodes_;
  Duration took_{};
};

TEST_F(SwarmRelays, TwoRandomNatsMeetThroughTheThirdMember) {
  Node& a = add(NatKind::kRandom, 1);
  Node& b = add(NatKind::kRandom, 2);
  Node& c = add({}, 3);
  ASSERT_TRUE(net_.settle());
  c.serve_relay(30);
  c.join();
  net_.world.run_for(5s);
  advertise(c);
  a.join();
  b.join();
  ASSERT_TRUE(until([&] { return a.relayed_to(b) && b.relayed_to(a); }));
  EXPECT_LT(took_, 4s);
  EXPECT_FALSE(a.relayed_to(c));
  net_.world.run_for(120s);
  EXPECT_TRUE(a.relayed_to(b) && b.relayed_to(a)) << "and stay connected";
  EXPECT_EQ(c.relay->open_pairs(), 1u);
  EXPECT_GE(a.swarm->stats().relayed, 1u);
  EXPECT_GE(b.swarm->stats().relayed, 1u);
  expect_echo(*(a.swarm->public_key() < b.swarm->public_key() ? b.link(a) : a.link(b)));
}

TEST_F(SwarmRelays, ARelayThatIsFoundLaterHelpsAtOnce) {
  Node& a = add(NatKind::kRandom, 1);
  Node& b = add(NatKind::kRandom, 2);
  Node& c = add({}, 3);
  ASSERT_TRUE(net_.settle());
  for (Node* node : {&a, &b, &c}) node->join();
  net_.world.run_for(90s);
  ASSERT_EQ(a.link(b), nullptr);
  ASSERT_NE(a.link(c), nullptr);
  c.serve_relay(30);
  net_.world.run_for(5s);
  ASSERT_EQ(a.link(b), nullptr);
  advertise(c);
  ASSERT_TRUE(until([&] { return a.relayed_to(b) && b.relayed_to(a); }));
  EXPECT_LT(took_, 2s) << "the pause after many failures is not waited for";
}

TEST_F(SwarmRelays, BlockedUdpIsGoneAround) {
  for (const auto kind : {std::optional(NatKind::kConsistent), std::optional<NatKind>()}) {
    SCOPED_TRACE(kind ? "behind NATs" : "open");
    nodes_.clear();
    hosts_.clear();
    Node& a = add(kind, 1);
    Node& b = add(kind, 2);
    Node& c = add({}, 3);
    ASSERT_TRUE(net_.settle());
    block(0, 1);
    c.serve_relay(30);
    c.join();
    net_.world.run_for(5s);
    advertise(c);
    a.join();
    b.join();
    ASSERT_TRUE(until([&] { return a.relayed_to(b) && b.relayed_to(a); }));
    EXPECT_LT(took_, 8s);
  }
}

TEST_F(SwarmRelays, WhenOneRelayFailsTheNextIsTaken) {
  Node& a = add(NatKind::kRandom, 1);
  Node& b = add(NatKind::kRandom, 2);
  Node& broken = add({}, 3);
  Node& good = add({}, 4);
  ASSERT_TRUE(net_.settle());
  net_.world.set_default_path({.delay = 30ms});
  for (size_t i = 0; i < net_.hosts.size(); ++i) net_.world.set_path(*net_.hosts[i], *hosts_[2], {.delay = 5ms});  // the nearer one
  for (uint8_t i : {2, 3}) nodes_[i]->serve_relay(static_cast<uint8_t>(30 + i)), nodes_[i]->join();
  net_.world.run_for(5s);
  advertise(broken);
  advertise(good);
  broken.relay.reset();  // its key is still advertised
  a.join();
  b.join();
  ASSERT_TRUE(until([&] { return a.relayed_to(b) && b.relayed_to(a); }, 90s));
  EXPECT_LT(took_, 40s);
  EXPECT_TRUE(until([&] { return good.relay->open_pairs() == 1; }, 10s)) << "of two that crossed one is left";
  EXPECT_TRUE(a.relayed_to(b) && b.relayed_to(a));
}

TEST_F(SwarmRelays, AMemberThatRelaysAndLeavesIsReplaced) {
  Node& a = add(NatKind::kRandom, 1);
  Node& b = add(NatKind::kRandom, 2);
  add({}, 3);
  add({}, 4);
  ASSERT_TRUE(net_.settle());
  for (uint8_t i : {2, 3}) nodes_[i]->serve_relay(static_cast<uint8_t>(30 + i)), nodes_[i]->join();
  net_.world.run_for(5s);
  for (uint8_t i : {2, 3}) advertise(*nodes_[i]);
  a.join();
  b.join();
  const auto met = [&] { return a.relayed_to(b) && b.relayed_to(a); };
  ASSERT_TRUE(until(met));
  const size_t first = nodes_[2]->relay->open_pairs() > 0 ? 2 : 3;
  hosts_[first]->set_up(false);
  ASSERT_TRUE(until([&] { return !met(); }, 20s));
  ASSERT_TRUE(until(met, 40s));
  EXPECT_TRUE(until([&] { return nodes_[5 - first]->relay->open_pairs() == 1; }, 10s)) << "of two that crossed one is left";
  EXPECT_TRUE(met());
}

TEST_F(SwarmRelays, LookingForADirectPathLeavesTheRelayedConnectionAlone) {
  Node& a = add(NatKind::kRandom, 1);
  Node& b = add(NatKind::kRandom, 2);
  Node& c = add({}, 3);
  ASSERT_TRUE(net_.settle());
  c.serve_relay(30);
  c.join();
  net_.world.run_for(5s);
  advertise(c);
  a.join();
  b.join();
  ASSERT_TRUE(until([&] { return a.relayed_to(b) && b.relayed_to(a); }));
  net_.world.run_for(10s);  // of two that crossed one is left
  for (auto [one, other] : {std::pair(&a, &b), std::pair(&b, &a)}) one->link(*other)->connection->allow_moves();
  auto* at_a = a.link(b);
  auto* at_b = b.link(a);
  const auto connects = a.peer.host->counters().connects;
  net_.world.run_for(std::chrono::minutes(10));
  EXPECT_EQ(a.link(b), at_a) << "the same connection";
  EXPECT_EQ(b.link(a), at_b);
  EXPECT_TRUE(a.relayed_to(b) && b.relayed_to(a));
  EXPECT_GT(a.peer.host->counters().connects, connects + 5) << "it was tried";
}

}  // namespace
}  // namespace hg::swarm
