// Strangers who connect and say nothing: they take no member's place.
#include <gtest/gtest.h>

#include "dht/operations.h"
#include "support/swarm_member.h"

namespace hg::swarm {
namespace {

using sim::Collector;
using sim::Peer;
using sim::PeerNetwork;
using test::key;
using test::Member;
using test::topic;

constexpr size_t kStrangers = 128;

KeyPair stranger_key(size_t n) { return crypto::key_pair_from_seed(Seed{9, static_cast<uint8_t>(n >> 8), static_cast<uint8_t>(n & 0xff)}); }

class Strangers : public ::testing::Test {
 protected:
  Member& add(uint8_t n) {
    members_.push_back(std::make_unique<Member>(net_.add_open(), key(n)));
    members_.back()->confirms = [](const PublicKey& k) {
      return k == key(1).public_key || k == key(2).public_key || k == key(3).public_key;
    };
    return *members_.back();
  }
  /// Processes on one host, each with a key of its own, that connect to `to` and hold what they get.
  void besiege(const KeyPair& to, Peer& from, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      attempts_.push_back(from.host->connect(to.public_key, {stranger_key(next_++), {}}, [this](auto result) {
        over_++;
        if (result) held_.push_back(std::make_unique<Collector>(std::move(*result)));
      }));
      net_.world.run_for(20ms);
    }
    ASSERT_TRUE(net_.world.run_until([&] { return over_ == next_; }, 60s));
    attempts_.clear();
  }
  size_t held() const {
    return static_cast<size_t>(std::count_if(held_.begin(), held_.end(), [](const auto& c) { return !c->closed; }));
  }
  void TearDown() override {
    attempts_.clear();
    held_.clear();
    members_.clear();
    net_.world.run_for(1s);
  }

  PeerNetwork net_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<peer::Attempt>> attempts_;
  std::vector<std::unique_ptr<Collector>> held_;
  size_t next_ = 0;
  size_t over_ = 0;
};

TEST_F(Strangers, OfOneHostKeepNobodyOut) {
  Member& a = add(1);
  Peer& outsider = net_.add_open();
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  net_.world.run_for(5s);
  besiege(key(1), outsider, kStrangers);
  net_.world.run_for(1s);
  EXPECT_LE(held(), 8u);
  Member& b = add(2);
  Member& c = add(3);
  b.join(topic(1));
  c.join(topic(1));
  ASSERT_TRUE(net_.world.run_until([&] { return a.talks_to(key(2)) && a.talks_to(key(3)) && b.talks_to(key(3)); }, 60s));
  besiege(key(1), outsider, kStrangers);
  EXPECT_TRUE(a.talks_to(key(2)) && a.talks_to(key(3))) << "who said who it is stays";
}

TEST_F(Strangers, OfManyHostsAreBoundedToo) {
  Member& a = add(1);
  std::vector<Peer*> outsiders;
  for (int i = 0; i < 8; ++i) outsiders.push_back(&net_.add_open());
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  net_.world.run_for(5s);
  for (Peer* outsider : outsiders) besiege(key(1), *outsider, kStrangers / 16);
  net_.world.run_for(1s);
  EXPECT_EQ(held(), 32u);
}

TEST_F(Strangers, WhoGoCauseNoLookups) {
  Member& a = add(1);
  Member& b = add(2);
  Peer& outsider = net_.add_open();
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  b.join(topic(1));
  ASSERT_TRUE(net_.world.run_until([&] { return a.talks_to(key(2)); }, 60s));
  net_.world.run_for(std::chrono::minutes(15));
  const uint64_t before = a.peer.node.counters().requests_sent;
  for (int round = 0; round < 20; ++round) {
    besiege(key(1), outsider, 1);
    net_.world.run_for(500ms);
    held_.back()->connection->destroy();
    net_.world.run_for(2s);
  }
  EXPECT_LT(a.peer.node.counters().requests_sent - before, 120u) << "the pings of three relays, and little else";
  EXPECT_EQ(a.handed_out, 21);
}

/// Keys in the topic whose process answers handshakes, and then nothing more.
class DeadEnds : public Strangers {
 protected:
  static constexpr size_t kKeys = 30;

  void announce(const Topic& topic, Peer& from) {
    for (size_t i = 0; i < kKeys; ++i) {
      const KeyPair keys = stranger_key(1000 + i);
      listening_.push_back(std::move(*from.host->listen(keys, {})));
      listening_.back()->on_listening([this, topic, keys, &from, server = listening_.back().get()] {
        announces_.push_back(dht::announce(from.node, topic, keys, server->relay_addresses(), {}, {}, [this](auto) { announced_++; }));
      });
    }
    ASSERT_TRUE(net_.world.run_until([&] { return announced_ == kKeys; }, 60s));
  }
  void TearDown() override {
    announces_.clear();
    listening_.clear();
    Strangers::TearDown();
  }

  std::vector<std::unique_ptr<peer::Server>> listening_;
  std::vector<dht::QueryHandle> announces_;
  size_t announced_ = 0;
};

TEST_F(DeadEnds, DoNotKeepMembersApart) {
  Peer& junk = net_.add_behind_nat(sim::NatKind::kConsistent);
  for (const sim::Host* host : net_.hosts) net_.world.set_path(*host, net_.host_of(junk), {.delay = 400ms});
  std::vector<Peer*> places;
  for (int i = 0; i < 5; ++i) {
    places.push_back(&net_.add_behind_nat(sim::NatKind::kConsistent));
    net_.block(*places.back(), junk);
  }
  ASSERT_TRUE(net_.settle());
  announce(topic(1), junk);
  members_.push_back(std::make_unique<Member>(*places[0], key(1)));
  Member& server = *members_.back();
  server.join(topic(1), {.server = true, .client = false});
  net_.world.run_for(5s);
  for (uint8_t i = 1; i < 5; ++i) {
    members_.push_back(std::make_unique<Member>(*places[i], key(static_cast<uint8_t>(i + 1))));
    members_.back()->join(topic(1), {.server = false, .client = true});
  }
  // Each of the 30 once, three at a time, 10 s for a turn.
  ASSERT_TRUE(net_.world.run_until([&] { return server.open() == 4; }, 105s));
  EXPECT_EQ(members_.back()->swarm->stats().known_peers, kKeys + 1);
}

}  // namespace
}  // namespace hg::swarm
