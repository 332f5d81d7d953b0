// Connections that outlive their path, found again by swarms behind simulated NATs, in virtual time.
#include <gtest/gtest.h>

#include "support/swarm_member.h"

namespace hg::swarm {
namespace {

using sim::NatKind;
using sim::Peer;
using sim::PeerNetwork;
using test::key;
using test::Member;
using test::topic;

uint8_t byte_at(uint64_t i) { return static_cast<uint8_t>(i * 73 + (i >> 8) * 5); }

/// Two members with a connection that carries a seeded stream both ways.
class Moves : public ::testing::Test {
 protected:
  explicit Moves(uint64_t seed = 1) : net_(seed) {}
  enum class Place { kOpen, kConsistent, kRandom };

  Member& add(Place place, uint8_t n) {
    Peer& peer = place == Place::kOpen ? net_.add_open()
                                       : net_.add_behind_nat(place == Place::kConsistent ? NatKind::kConsistent : NatKind::kRandom);
    (n == 1 ? host_a_ : host_b_) = net_.hosts.back();
    if (place != Place::kOpen) (n == 1 ? nat_a_ : nat_b_) = net_.nats.back().get();
    auto member = std::make_unique<Member>(peer, key(n));
    member->movable = true;
    member->greeting.clear();
    members_.push_back(std::move(member));
    return *members_.back();
  }
  void connect(Place a, Place b) {
    a_ = &add(a, 1);
    b_ = &add(b, 2);
    ASSERT_TRUE(net_.settle());
    a_->join(topic(1));
    b_->join(topic(1));
    ASSERT_TRUE(net_.world.run_until([&] { return a_->link(key(2)) && b_->link(key(1)); }, 90s));
    net_.world.run_for(10s);
    ASSERT_TRUE(talk(5s));
    steady();
  }
  void send(size_t bytes) {
    for (auto [member, other, sent] : {std::tuple(a_, key(2), &sent_a_), std::tuple(b_, key(1), &sent_b_)}) {
      auto* link = member->link(other);
      if (link == nullptr) return;
      Bytes part(bytes);
      for (size_t i = 0; i < bytes; ++i) part[i] = byte_at(*sent + i);
      *sent += bytes;
      link->send(part);
    }
  }
  bool all_arrived() {
    auto* a = a_->link(key(2));
    auto* b = b_->link(key(1));
    return a != nullptr && b != nullptr && a->received.size() == sent_b_ && b->received.size() == sent_a_;
  }
  /// Sends something both ways and waits until it has come.
  bool talk(Duration limit) {
    send(3000);
    const TimePoint start = net_.world.now();
    const bool ok = net_.world.run_until([&] { return all_arrived(); }, limit);
    took_ = net_.world.now() - start;
    return ok;
  }
  /// Traffic for a while, whatever the network does with it.
  void traffic(Duration span) {
    for (Duration t{}; t < span; t += 100ms) {
      send(4000);
      net_.world.run_for(100ms);
    }
  }
  void steady() { handed_out_ = a_->handed_out + b_->handed_out; }
  void expect_the_same_connection_and_every_byte() {
    ASSERT_TRUE(net_.world.run_until([&] { return all_arrived(); }, 30s));
    EXPECT_EQ(a_->handed_out + b_->handed_out, handed_out_) << "the connection survived";
    for (auto* link : {a_->link(key(2)), b_->link(key(1))}) {
      for (size_t i = 0; i < link->received.size(); ++i) ASSERT_EQ(link->received[i], byte_at(i)) << i;
    }
  }
  void TearDown() override {
    members_.clear();
    net_.world.run_for(1s);
  }

  PeerNetwork net_;
  std::vector<std::unique_ptr<Member>> members_;
  Member* a_ = nullptr;
  Member* b_ = nullptr;
  sim::Host* host_a_ = nullptr;
  sim::Host* host_b_ = nullptr;
  sim::NatRuntime* nat_a_ = nullptr;
  sim::NatRuntime* nat_b_ = nullptr;
  uint64_t sent_a_ = 0;
  uint64_t sent_b_ = 0;
  int handed_out_ = 0;
  Duration took_{};
};

TEST_F(Moves, ARouterThatRebootsWithTheSameMapping) {
  connect(Place::kConsistent, Place::kConsistent);
  for (int i = 0; i < 5; ++i) {
    traffic(1s);
    host_a_->set_up(false);
    nat_a_->reboot(true);
    traffic(3s);
    host_a_->set_up(true);
    ASSERT_TRUE(talk(10s));
    EXPECT_LT(took_, 3s) << i;
    net_.world.run_for(5s);
  }
  expect_the_same_connection_and_every_byte();
}

TEST_F(Moves, ARouterThatRebootsWithANewMapping) {
  connect(Place::kConsistent, Place::kConsistent);
  for (int i = 0; i < 6; ++i) {
    traffic(1s);
    (i % 2 != 0 ? host_b_ : host_a_)->set_up(false);
    (i % 2 != 0 ? nat_b_ : nat_a_)->reboot(false);
    traffic(3s);
    (i % 2 != 0 ? host_b_ : host_a_)->set_up(true);
    ASSERT_TRUE(talk(15s)) << i;
    EXPECT_LT(took_, 5s) << i;
    net_.world.run_for(10s);
  }
  expect_the_same_connection_and_every_byte();
  EXPECT_GE(a_->swarm->stats().moves, 3u);
}

TEST_F(Moves, ANatThatForgetsItsMappingAllOfASudden) {
  connect(Place::kConsistent, Place::kOpen);
  for (int i = 0; i < 6; ++i) {
    traffic(1s);
    nat_a_->reboot(false);
    ASSERT_TRUE(talk(15s)) << i;
    EXPECT_LT(took_, 3s) << i;
    net_.world.run_for(5s);
  }
  expect_the_same_connection_and_every_byte();
}

TEST_F(Moves, BothMappingsAreLostAtOnce) {
  connect(Place::kConsistent, Place::kConsistent);
  for (int i = 0; i < 3; ++i) {
    traffic(1s);
    nat_a_->reboot(false);
    nat_b_->reboot(false);
    ASSERT_TRUE(talk(30s)) << i;
    EXPECT_LT(took_, 15s) << i;
    net_.world.run_for(10s);
  }
  expect_the_same_connection_and_every_byte();
}

TEST_F(Moves, ANewAddressAtEitherEnd) {
  connect(Place::kConsistent, Place::kOpen);
  for (int i = 0; i < 6; ++i) {
    traffic(1s);
    sim::Host& host = i % 2 != 0 ? *host_b_ : *host_a_;
    host.set_address(host.address() + 256);
    if (i % 2 == 0) nat_a_->reboot(false);
    ASSERT_TRUE(talk(20s)) << i;
    EXPECT_LT(took_, 6s) << i;
    net_.world.run_for(10s);
  }
  expect_the_same_connection_and_every_byte();
}

TEST_F(Moves, OutagesOfFiveTenAndThirtySeconds) {
  connect(Place::kConsistent, Place::kConsistent);
  for (const Duration outage : {5s, 10s, 30s}) {
    traffic(1s);
    host_b_->set_up(false);
    traffic(outage);
    host_b_->set_up(true);
    ASSERT_TRUE(talk(20s));
    EXPECT_LT(took_, 3s) << to_ms(outage);
    net_.world.run_for(5s);
  }
  expect_the_same_connection_and_every_byte();
}

TEST_F(Moves, OneRandomNat) {
  connect(Place::kRandom, Place::kConsistent);
  traffic(1s);
  nat_a_->reboot(false);
  ASSERT_TRUE(talk(60s));
  net_.world.run_for(10s);
  expect_the_same_connection_and_every_byte();
}

TEST_F(Moves, AnOutageLongerThanTheHoldEndsInANewConnection) {
  connect(Place::kConsistent, Place::kOpen);
  host_a_->set_up(false);
  ASSERT_TRUE(net_.world.run_until([&] { return a_->open() == 0 && b_->open() == 0; }, 90s));
  net_.world.run_for(60s);
  host_a_->set_up(true);
  sent_a_ = sent_b_ = 0;
  ASSERT_TRUE(net_.world.run_until([&] { return a_->open() == 1 && b_->open() == 1; }, 90s));
  ASSERT_TRUE(talk(10s));
}

TEST_F(Moves, OnlyTheSessionThatIsThereIsContinued) {
  connect(Place::kOpen, Place::kOpen);
  const auto& old = static_cast<noise::SecureConnection&>(*a_->link(key(2))->connection);
  for (const bool right : {true, false}) {
    peer::ConnectOptions options;
    options.key_pair = key(1);
    options.move = wire::MoveInfo{right ? old.session_id() : Hash32{1}, old.udx_id()};
    std::unique_ptr<noise::SecureConnection> fresh;
    const auto attempt = a_->peer.host->connect(key(2).public_key, std::move(options), [&](auto made) {
      if (made) fresh = std::move(*made);
    });
    ASSERT_TRUE(net_.world.run_until([&] { return fresh != nullptr; }, 20s));
    EXPECT_EQ(fresh->continuation().has_value(), right);
  }
}

TEST_F(Moves, APeerThatGaveUpFirstGetsANewConnectionAtOnce) {
  connect(Place::kConsistent, Place::kOpen);
  // B forgets the connection, and A hears nothing of it.
  host_a_->set_up(false);
  b_->link(key(1))->connection->destroy();
  net_.world.run_for(5s);
  host_a_->set_up(true);
  sent_a_ = sent_b_ = 0;
  ASSERT_TRUE(net_.world.run_until([&] { return a_->past.size() == 1 && a_->open() == 1 && b_->open() == 1; }, 15s));
  ASSERT_TRUE(talk(10s));
}

TEST_F(Moves, ARelayedConnectionKeepsTryingToGoDirectAndMovesOver) {
  a_ = &add(Place::kConsistent, 1);
  b_ = &add(Place::kConsistent, 2);
  a_->relay = b_->relay = key(9).public_key;
  ASSERT_TRUE(net_.settle());
  a_->join(topic(1));
  b_->join(topic(1));
  const auto relayed = [](Member& member, const KeyPair& other) { return member.link(other)->connection->stats().relayed; };
  ASSERT_TRUE(net_.world.run_until([&] { return a_->link(key(2)) && b_->link(key(1)); }, 30s));
  steady();
  EXPECT_TRUE(relayed(*a_, key(2)) && relayed(*b_, key(1)));
  a_->relay.reset();
  b_->relay.reset();
  nat_a_->counters.probes_to_lose = nat_b_->counters.probes_to_lose = 3000;  // no punch gets through at first
  traffic(30s);
  EXPECT_TRUE(relayed(*a_, key(2)) && relayed(*b_, key(1)));
  EXPECT_GE(a_->peer.host->counters().connects, 3u);
  nat_a_->counters.probes_to_lose = nat_b_->counters.probes_to_lose = 0;
  for (int i = 0; i < 900 && relayed(*a_, key(2)); ++i) traffic(100ms);
  EXPECT_FALSE(relayed(*a_, key(2)) || relayed(*b_, key(1)));
  expect_the_same_connection_and_every_byte();
}

class MovesBySeed : public Moves, public ::testing::WithParamInterface<uint64_t> {
 protected:
  MovesBySeed() : Moves(GetParam()) {}
};

TEST_P(MovesBySeed, WhateverHappensEveryByteArrivesOnce) {
  SeededRng rng(GetParam() * 7919);
  net_.world.set_default_path({.delay = std::chrono::milliseconds(5 + rng.below(60)), .jitter = 8ms, .loss = rng.below(5) / 100.0});
  connect(rng.below(2) != 0 ? Place::kConsistent : Place::kOpen, Place::kConsistent);
  for (int i = 0; i < 12; ++i) {
    traffic(std::chrono::milliseconds(rng.below(3000)));
    const bool at_a = rng.below(2) != 0;
    sim::Host& host = at_a ? *host_a_ : *host_b_;
    sim::NatRuntime* nat = at_a ? nat_a_ : nat_b_;
    const bool outage = rng.below(2) != 0;
    if (outage) host.set_up(false);
    if (nat != nullptr && rng.below(2) != 0) nat->reboot(rng.below(2) != 0);
    if (rng.below(3) == 0) host.set_address(host.address() + 256);
    if (outage) {
      traffic(std::chrono::milliseconds(rng.below(15000)));
      host.set_up(true);
    }
  }
  ASSERT_TRUE(net_.world.run_until([&] { return all_arrived(); }, 60s));
  expect_the_same_connection_and_every_byte();
}
INSTANTIATE_TEST_SUITE_P(Seeds, MovesBySeed, ::testing::Range<uint64_t>(1, 41));

TEST_F(Moves, DeadNeighboursDoNotTakeEveryTurn) {
  a_ = &add(Place::kConsistent, 1);
  b_ = &add(Place::kConsistent, 2);
  std::vector<sim::Host*> doomed;
  for (uint8_t i = 0; i < 12; ++i) {  // more than may be sought at a time
    Peer& peer = net_.add_open();
    doomed.push_back(net_.hosts.back());
    members_.push_back(std::make_unique<Member>(peer, key(static_cast<uint8_t>(10 + i))));
    members_.back()->movable = true;
    members_.back()->greeting.clear();
  }
  ASSERT_TRUE(net_.settle());
  for (auto& member : members_) member->join(topic(1));
  const size_t others = members_.size() - 1;
  ASSERT_TRUE(net_.world.run_until([&] { return a_->open() == others && b_->open() == others; }, 120s));
  net_.world.run_for(20s);
  ASSERT_TRUE(talk(5s));
  steady();
  for (sim::Host* host : doomed) host->set_up(false);
  net_.world.run_for(8s);
  nat_a_->reboot(false);
  nat_b_->reboot(false);
  ASSERT_TRUE(talk(100s));
  EXPECT_LT(took_, 15s);
  expect_the_same_connection_and_every_byte();
}

TEST_F(Moves, QuietWhileAllIsWell) {
  connect(Place::kConsistent, Place::kConsistent);
  const auto attempts = a_->peer.host->counters().connects + b_->peer.host->counters().connects;
  for (int i = 0; i < 60; ++i) {
    net_.world.run_for(30s);
    ASSERT_TRUE(talk(2s));
  }
  EXPECT_EQ(a_->peer.host->counters().connects + b_->peer.host->counters().connects, attempts) << "nothing is tried while nothing is wrong";
  EXPECT_EQ(a_->swarm->stats().moves, 0u);
  expect_the_same_connection_and_every_byte();
}

}  // namespace
}  // namespace hg::swarm
