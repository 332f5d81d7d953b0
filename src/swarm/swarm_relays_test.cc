// Swarms whose members go through each other, in virtual time.
#include "support/relay_swarm.h"

namespace hg::swarm {
namespace {

using sim::NatKind;
using sim::Peer;
using test::key;
using test::Node;
using test::SwarmRelays;

TEST_F(SwarmRelays, TwoRandomNatsMeetThroughTheThirdMember) {
  Node& a = add(NatKind::kRandom, 1);
  Node& b = add(NatKind::kRandom, 2);
  Node& c = add({}, 3);
  ASSERT_TRUE(net_.settle());
  ASSERT_TRUE(meet_through(c, a, b));
  EXPECT_LT(took_, 4s);
  EXPECT_FALSE(a.relayed_to(c));
  net_.world.run_for(120s);
  EXPECT_TRUE(a.relayed_to(b) && b.relayed_to(a)) << "and stay connected";
  EXPECT_EQ(c.blind_relay->open_pairs(), 1u);
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

TEST_F(SwarmRelays, AnAttemptThatHeardThePeerIsNotRepeatedThroughANewRelay) {
  constexpr Topic kOther{8};
  Node& a = add(NatKind::kConsistent, 1);
  Node& b = add(NatKind::kConsistent, 2);
  Node& c = add({}, 3);
  ASSERT_TRUE(net_.settle());
  net_.world.set_one_way(net_.host_of(b.peer), net_.host_of(a.peer), {.delay = 4s});
  c.serve_relay(30);
  c.join();
  a.join();
  ASSERT_TRUE(until([&] { return a.link(c) != nullptr; }));
  b.Member::join(kOther, {.server = true, .client = false});
  net_.world.run_for(5s);
  a.Member::join(kOther, {.server = false, .client = true});
  ASSERT_TRUE(until([&] { return b.link(a) != nullptr; })) << "whose proof is under way to a";
  const uint64_t attempts = a.peer.host->counters().connects;
  a.swarm->set_relay(c.keys.public_key, c.blind_relay->public_key());
  ASSERT_TRUE(until([&] { return a.link(b) != nullptr; }));
  EXPECT_GT(took_, 3500ms) << "longer than the patience with an attempt that began without a relay";
  EXPECT_FALSE(a.relayed_to(b));
  EXPECT_EQ(a.peer.host->counters().connects, attempts) << "it went on";
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
    net_.block(a.peer, b.peer);
    ASSERT_TRUE(meet_through(c, a, b));
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
  broken.blind_relay.reset();  // its key is still advertised
  a.join();
  b.join();
  ASSERT_TRUE(until([&] { return a.relayed_to(b) && b.relayed_to(a); }, 90s));
  EXPECT_LT(took_, 40s);
  EXPECT_TRUE(until([&] { return good.blind_relay->open_pairs() == 1; }, 10s)) << "of two that crossed one is left";
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
  const size_t first = nodes_[2]->blind_relay->open_pairs() > 0 ? 2 : 3;
  hosts_[first]->set_up(false);
  ASSERT_TRUE(until([&] { return !met(); }, 20s));
  ASSERT_TRUE(until(met, 40s));
  EXPECT_TRUE(until([&] { return nodes_[5 - first]->blind_relay->open_pairs() == 1; }, 10s)) << "of two that crossed one is left";
  EXPECT_TRUE(met());
}

TEST_F(SwarmRelays, ANeighbourIsAskedLastHoweverNear) {
  Node& a = add({}, 1);
  Node& b = add({}, 2);
  Node& near = add({}, 3);  // all three in 9.0.0.0/24
  Peer& elsewhere = net_.add_at("8.9.0.1", sim::DhtNetwork::user_options());
  hosts_.push_back(net_.hosts.back());
  nodes_.push_back(std::make_unique<Node>(elsewhere, 4));
  Node& far = *nodes_.back();
  ASSERT_TRUE(net_.settle());
  net_.block(a.peer, b.peer);
  for (Node* one : {&a, &b}) net_.world.set_path(net_.host_of(one->peer), net_.host_of(elsewhere), {.delay = 40ms});
  for (Node* node : {&a, &b, &near, &far}) node->join();
  net_.world.run_for(90s);  // nobody relays yet
  ASSERT_EQ(a.link(b), nullptr);
  near.serve_relay(30);
  far.serve_relay(31);
  net_.world.run_for(5s);
  for (Node* relay : {&near, &far}) advertise(*relay);
  ASSERT_TRUE(until([&] { return a.relayed_to(b) && b.relayed_to(a); }));
  EXPECT_EQ(a.link(b)->connection->stats().relay, far.blind_relay->public_key());
}

TEST_F(SwarmRelays, ASilentRelayIsLeftForTheNextOneAtOnce) {
  Node& a = add(NatKind::kConsistent, 1);
  Node& b = add(NatKind::kConsistent, 2);
  for (const uint8_t n : {3, 4}) add({}, n);
  for (Node* node : {&a, &b}) node->movable = true;
  ASSERT_TRUE(net_.settle());
  net_.block(a.peer, b.peer);
  for (uint8_t i : {2, 3}) nodes_[i]->serve_relay(static_cast<uint8_t>(30 + i)), nodes_[i]->join();
  net_.world.run_for(5s);
  for (uint8_t i : {2, 3}) advertise(*nodes_[i]);
  a.join();
  b.join();
  const auto met = [&] { return a.relayed_to(b) && b.relayed_to(a); };
  ASSERT_TRUE(until(met));
  net_.world.run_for(15s);  // both look for a direct path, ten seconds at a time
  ASSERT_TRUE(met());
  const auto relay_of = [&] { return a.link(b)->connection->stats().relay; };
  const auto first = relay_of();
  hosts_[nodes_[2]->blind_relay->public_key() == *first ? 2 : 3]->set_up(false);
  ASSERT_TRUE(until(
      [&] {
        if (auto* link = a.link(b)) link->send(Bytes(100, 1));
        net_.world.run_for(100ms);
        return met() && relay_of() != first && a.link(b)->received.size() > 0;
      },
      30s));
  EXPECT_LT(took_, 4s);
}

TEST_F(SwarmRelays, LookingForADirectPathLeavesTheRelayedConnectionAlone) {
  Node& a = add(NatKind::kRandom, 1);
  Node& b = add(NatKind::kRandom, 2);
  Node& c = add({}, 3);
  ASSERT_TRUE(net_.settle());
  ASSERT_TRUE(meet_through(c, a, b));
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

/// One member behind a cone and two behind random NATs start together: two random punches towards the cone, one after the other.
class StartedTogether : public SwarmRelays {
 public:
  explicit StartedTogether(uint64_t seed) : SwarmRelays(seed) {}

  /// How long it took, forty times over.
  static std::vector<Duration> sorted_times() {
    std::vector<Duration> times;
    for (uint64_t seed = 1; seed <= 40; ++seed) {
      StartedTogether run(seed);
      run.run();
      times.push_back(run.took_);
    }
    std::sort(times.begin(), times.end());
    return times;
  }

 private:
  void TestBody() override {}
  void run() {
    std::array<uint8_t, 3> by_key{1, 2, 3};
    std::sort(by_key.begin(), by_key.end(), [](uint8_t x, uint8_t y) { return key(x).public_key < key(y).public_key; });
    Node& a = add(NatKind::kRandom, by_key[1]);
    Node& b = add(NatKind::kRandom, by_key[2]);
    Node& cone = add(NatKind::kConsistent, by_key[0]);  // whose connections have to give way to theirs
    ASSERT_TRUE(net_.settle());
    cone.serve_relay(30);
    advertise(cone);
    for (Node* node : {&a, &b, &cone}) node->join();
    EXPECT_TRUE(until([&] { return a.relayed_to(b) && b.relayed_to(a); }));
    TearDown();
  }
};

TEST(SwarmsAtOnce, TwoRandomNatsMeetThroughAConeInSeconds) {
  const auto times = StartedTogether::sorted_times();
  EXPECT_LT(times[times.size() / 2], 3500ms);
  EXPECT_LT(times[times.size() * 9 / 10], 8s);
}

}  // namespace
}  // namespace hg::swarm
