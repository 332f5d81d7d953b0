// Connections that go on through a relay, or through another one, in virtual time: what was sent comes back once and whole.
#include "support/relay_swarm.h"

namespace hg::swarm {
namespace {

using sim::NatKind;
using test::key;
using test::Node;
using test::SwarmRelays;

class RelayedMoves : public SwarmRelays, public ::testing::WithParamInterface<uint64_t> {
 protected:
  RelayedMoves() : SwarmRelays(GetParam()) {}

  /// Two members that talk, and two that can be relays, one of them `near`.
  void meet(std::optional<NatKind> kind) {
    a_ = &add(kind, 1);
    b_ = &add(kind, 2);
    for (const uint8_t n : {3, 4}) add({}, n);
    a_->movable = b_->movable = true;
    a_->echo = false;
    ASSERT_TRUE(net_.settle());
    for (size_t i : {2, 3}) nodes_[i]->join();
    net_.world.run_for(5s);
  }
  void serve(size_t max_pairs = 64) {
    for (uint8_t i : {2, 3}) nodes_[i]->serve_relay(static_cast<uint8_t>(30 + i), max_pairs);
    net_.world.run_for(5s);
    for (uint8_t i : {2, 3}) advertise(*nodes_[i]);
  }
  void join(bool relayed) {
    a_->join();
    b_->join();
    ASSERT_TRUE(until([&] { return a_->link(*b_) && b_->link(*a_) && a_->relayed_to(*b_) == relayed && b_->relayed_to(*a_) == relayed; }));
    for (Node* end : {a_, b_}) {
      Node* relay = nodes_[2].get();
      ASSERT_TRUE(until([&] { return end->link(*relay) && end->link(*nodes_[3]); }));
    }
    net_.world.run_for(15s);  // of two that crossed one is left
    met_ = times_met();
    sent_ = a_->link(*b_)->received.size();
  }
  void talk(Duration span) {
    for (Duration t{}; t < span; t += 100ms) {
      if (auto* link = a_->link(*b_)) {
        Bytes part(2000);
        for (uint8_t& byte : part) byte = static_cast<uint8_t>(sent_ * 73 + (sent_ >> 8) * 5), ++sent_;
        link->send(part);
      }
      net_.world.run_for(100ms);
    }
  }
  /// Says something new and waits for it to come back.
  bool answered(Duration limit) {
    talk(100ms);
    return until([&] { return a_->link(*b_) && a_->link(*b_)->received.size() == sent_; }, limit);
  }
  void expect_the_same_connection_and_every_byte() {
    ASSERT_TRUE(answered(30s));
    EXPECT_EQ(times_met(), met_) << "the connection survived";
    const Bytes& received = a_->link(*b_)->received;
    for (size_t i = 0; i < received.size(); ++i) ASSERT_EQ(received[i], static_cast<uint8_t>(i * 73 + (i >> 8) * 5)) << i;
  }
  /// How often the two ends were given a connection to each other, both counted.
  size_t times_met() {
    const auto met = [](const Node& one, const Node& other) {
      return static_cast<size_t>(
          std::count_if(one.infos.begin(), one.infos.end(), [&](const PeerInfo& info) { return info.key == other.keys.public_key; }));
    };
    return met(*a_, *b_) + met(*b_, *a_);
  }
  std::optional<PublicKey> relay() { return a_->link(*b_)->connection->stats().relay; }
  size_t relaying() { return nodes_[2]->blind_relay->public_key() == relay() ? 2 : 3; }

  Node* a_ = nullptr;
  Node* b_ = nullptr;
  uint64_t sent_ = 0;
  size_t met_ = 0;
};

TEST_P(RelayedMoves, ARelayThatFallsSilentIsLeftForAnother) {
  meet(NatKind::kRandom);
  serve();
  join(true);
  talk(2s);
  hosts_[relaying()]->set_up(false);
  const auto first = relay();
  ASSERT_TRUE(answered(15s));
  EXPECT_LT(took_, 6s);
  EXPECT_NE(relay(), first);
  EXPECT_TRUE(a_->relayed_to(*b_) && b_->relayed_to(*a_));
  talk(20s);
  expect_the_same_connection_and_every_byte();
  EXPECT_EQ(nodes_[relaying()]->blind_relay->open_pairs(), 1u) << "what brought the path is gone";
}

TEST_P(RelayedMoves, ARelayThatStopsServingIsLeftForAnother) {
  meet(NatKind::kRandom);
  serve();
  join(true);
  for (int i = 0; i < 4; ++i) {
    talk(1s);
    const size_t which = relaying();
    nodes_[which]->blind_relay->close([] {});
    ASSERT_TRUE(answered(10s)) << i;
    EXPECT_LT(took_, 4s) << i;
    EXPECT_NE(relaying(), which) << i;
    nodes_[which]->serve_relay(static_cast<uint8_t>(40 + i));
    net_.world.run_for(5s);
    advertise(*nodes_[which]);
    talk(15s);
  }
  expect_the_same_connection_and_every_byte();
}

TEST_P(RelayedMoves, TheOnlyRelayIsWaitedFor) {
  meet(NatKind::kRandom);
  nodes_[2]->serve_relay(30);
  net_.world.run_for(5s);
  advertise(*nodes_[2]);
  join(true);
  nodes_[2]->blind_relay->close([] {});
  talk(20s);
  nodes_[3]->serve_relay(31);
  net_.world.run_for(5s);
  advertise(*nodes_[3]);
  ASSERT_TRUE(answered(15s));
  expect_the_same_connection_and_every_byte();
}

TEST_P(RelayedMoves, ADirectPathThatIsBlockedGoesOnThroughARelayAndComesBack) {
  meet(NatKind::kConsistent);
  serve();
  join(false);
  talk(1s);
  net_.block(a_->peer, b_->peer);
  ASSERT_TRUE(answered(30s));
  EXPECT_LT(took_, 10s);
  EXPECT_TRUE(a_->relayed_to(*b_) && b_->relayed_to(*a_));
  talk(20s);
  net_.unblock(a_->peer, b_->peer);
  ASSERT_TRUE(until([&] { return !a_->relayed_to(*b_) && !b_->relayed_to(*a_); }, 120s));
  expect_the_same_connection_and_every_byte();
}

TEST_P(RelayedMoves, ARelayWithoutRoomForTheSecondPairMakesANewConnection) {
  meet(NatKind::kConsistent);
  serve(1);
  join(false);
  net_.block(a_->peer, b_->peer);
  ASSERT_TRUE(until([&] { return times_met() == met_ + 2 && a_->relayed_to(*b_) && b_->relayed_to(*a_); }, 40s));
  sent_ = a_->link(*b_)->received.size();
  ASSERT_TRUE(answered(10s));
}

TEST_P(RelayedMoves, ASilentRelayIsNotTriedWhileAnotherOneAnswers) {
  meet(NatKind::kRandom);
  Node& third = add({}, 5);
  third.join();
  for (const auto& node : nodes_) node->movable = true;                                      // so that nobody is given up within a minute
  for (sim::Host* one : net_.hosts) net_.world.set_path(*one, *hosts_[4], {.delay = 40ms});  // the others are asked first
  serve();
  join(true);
  third.serve_relay(35);
  net_.world.run_for(5s);
  advertise(third);
  ASSERT_TRUE(until([&] { return a_->link(third) && b_->link(third); }));
  for (size_t i : {2, 3}) hosts_[i]->set_up(false);
  ASSERT_TRUE(answered(40s));
  EXPECT_LT(took_, 25s);
  expect_the_same_connection_and_every_byte();
}

TEST_P(RelayedMoves, FarAwayItTakesSomeRoundTrips) {
  net_.world.set_default_path({.delay = 400ms, .jitter = 50ms});
  meet(NatKind::kRandom);
  serve();
  join(true);
  hosts_[relaying()]->set_up(false);
  ASSERT_TRUE(answered(60s));
  EXPECT_LT(took_, 11s);
  expect_the_same_connection_and_every_byte();
}

TEST_P(RelayedMoves, WhateverHappensEveryByteComesBackOnce) {
  SeededRng rng(GetParam() * 7919);
  net_.world.set_default_path({.delay = std::chrono::milliseconds(5 + rng.below(100)), .jitter = 8ms, .loss = rng.below(4) / 100.0});
  const bool random = rng.below(2) != 0;
  meet(random ? NatKind::kRandom : NatKind::kConsistent);
  serve();
  join(random);
  uint8_t next_key = 40;
  for (int i = 0; i < 8; ++i) {
    talk(std::chrono::milliseconds(rng.below(4000)));
    const size_t which = 2 + rng.below(2);
    switch (rng.below(random ? 2 : 3)) {
      case 0:
        nodes_[which]->blind_relay->close([] {});
        talk(std::chrono::milliseconds(rng.below(4000)));
        nodes_[which]->serve_relay(next_key++);
        net_.world.run_for(3s);
        advertise(*nodes_[which]);
        break;
      case 1:
        hosts_[which]->set_up(false);
        talk(std::chrono::milliseconds(rng.below(12000)));
        hosts_[which]->set_up(true);
        break;
      default:
        i % 2 == 0 ? net_.block(a_->peer, b_->peer) : net_.unblock(a_->peer, b_->peer);
    }
  }
  talk(20s);
  expect_the_same_connection_and_every_byte();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RelayedMoves, ::testing::Range<uint64_t>(1, 9));

}  // namespace
}  // namespace hg::swarm
