// Swarms that find each other over a private network of our own nodes, in virtual time.
#include "swarm/swarm.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dht/storage.h"
#include "support/log_lines.h"
#include "support/swarm_member.h"

namespace hg::swarm {
namespace {

using sim::Collector;
using sim::NatKind;
using sim::Peer;
using sim::PeerNetwork;
using test::key;
using test::Member;
using test::topic;

class Swarms : public ::testing::Test {
 protected:
  Member& add(Peer& peer, const KeyPair& keys, SwarmOptions options = {}) {
    members_.push_back(std::make_unique<Member>(peer, keys, std::move(options)));
    return *members_.back();
  }
  bool until(const std::function<bool()>& done, Duration limit = 60s) {
    const TimePoint start = net_.world.now();
    const bool ok = net_.world.run_until(done, limit);
    took_ = net_.world.now() - start;
    return ok;
  }
  void TearDown() override {
    members_.clear();
    net_.world.run_for(1s);
  }

  PeerNetwork net_;
  std::vector<std::unique_ptr<Member>> members_;
  Duration took_{};
};

TEST_F(Swarms, TwoFindEachOther) {
  Member& a = add(net_.add_open(), key(1));
  Member& b = add(net_.add_open(), key(2));
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  net_.world.run_for(5s);
  b.join(topic(1));
  ASSERT_TRUE(until([&] { return a.talks_to(key(2)) && b.talks_to(key(1)); }));
  EXPECT_LT(took_, 3s);
  net_.world.run_for(60s);
  EXPECT_EQ(a.open(), 1u);
  EXPECT_EQ(b.open(), 1u);
}

TEST_F(Swarms, JoinedAtTheSameMoment) {
  for (uint8_t i = 0; i < 8; ++i) {
    Member& a = add(net_.add_open(), key(static_cast<uint8_t>(100 + 2 * i)));
    Member& b = add(net_.add_open(), key(static_cast<uint8_t>(101 + 2 * i)));
    ASSERT_TRUE(net_.settle());
    a.join(topic(i));
    net_.world.run_for(std::chrono::milliseconds(i * 7));
    b.join(topic(i));
    ASSERT_TRUE(until([&] { return a.open() == 1 && b.open() == 1; })) << int{i};
    EXPECT_LT(took_, 4s) << int{i};
  }
}

TEST_F(Swarms, TenInOneTopicAllMeet) {
  for (uint8_t i = 1; i <= 10; ++i) add(i % 3 == 0 ? net_.add_behind_nat(NatKind::kConsistent) : net_.add_open(), key(i));
  ASSERT_TRUE(net_.settle());
  for (auto& member : members_) member->join(topic(1));
  const auto all_met = [&] { return std::all_of(members_.begin(), members_.end(), [](const auto& m) { return m->open() == 9; }); };
  ASSERT_TRUE(until(all_met, 90s));
  net_.world.run_for(120s);
  EXPECT_TRUE(all_met());
  for (auto& member : members_) EXPECT_LE(member->handed_out, 14) << "no churn once connected";
}

TEST_F(Swarms, OfCrossingConnectionsTheOneOfTheLargerKeyStays) {
  for (const bool a_larger : {true, false}) {
    PublicKey larger{}, smaller{};
    Member& a = add(net_.add_open(), key(a_larger ? 11 : 21));
    Member& b = add(net_.add_open(), key(a_larger ? 12 : 22));
    ASSERT_TRUE(net_.settle());
    larger = std::max(a.swarm->public_key(), b.swarm->public_key());
    smaller = std::min(a.swarm->public_key(), b.swarm->public_key());
    const Topic t = topic(a_larger ? 1 : 2);
    // Each is announced before the other looks: then both look at once, and both connect.
    a.join(t, {.server = true, .client = false});
    b.join(t, {.server = true, .client = false});
    net_.world.run_for(10s);
    a.join(t, {.server = false, .client = true});
    b.join(t, {.server = false, .client = true});
    ASSERT_TRUE(
        until([&] { return a.open() == 1 && b.open() == 1 && a.swarm->stats().connecting == 0 && b.swarm->stats().connecting == 0; }));
    net_.world.run_for(5s);
    EXPECT_EQ(a.open(), 1u);
    EXPECT_EQ(b.open(), 1u);
    EXPECT_GT(a.swarm->stats().duplicates + b.swarm->stats().duplicates, 0u) << "they crossed";
    Member& initiator = a.swarm->public_key() == larger ? a : b;
    EXPECT_TRUE(initiator.links[smaller]->connection->is_initiator());
  }
}

TEST_F(Swarms, AnIncomingConnectionWaitsForOurOwnAttemptAndTakesItsPlace) {
  const bool first_larger = key(11).public_key > key(12).public_key;
  const KeyPair larger = key(first_larger ? 11 : 12), smaller = key(first_larger ? 12 : 11);
  SwarmOptions options;
  options.firewall = [asked = 0](const PublicKey&) mutable { return asked++ > 0; };  // lets its own attempt pass, and nobody in
  Member& a = add(net_.add_open(), larger);
  Member& b = add(net_.add_open(), smaller, std::move(options));
  ASSERT_TRUE(net_.settle());
  const Topic t = topic(1);
  a.join(t, {.server = true, .client = false});
  b.join(t, {.server = true, .client = false});
  net_.world.run_for(10s);
  b.join(t, {.server = false, .client = true});
  net_.world.run_for(5ms);
  a.join(t, {.server = false, .client = true});
  ASSERT_TRUE(until([&] { return a.talks_to(smaller) && b.talks_to(larger); }));
  EXPECT_LT(took_, 3s);
  EXPECT_GT(a.swarm->stats().duplicates, 0u) << "they crossed";
  EXPECT_EQ(b.handed_out, 1) << "what was proven first is what stays";
}

TEST_F(Swarms, ANewConnectionReplacesOneThatTheOtherSideHasLost) {
  Member& a = add(net_.add_open(), key(1));
  Peer& place = net_.add_open();
  sim::Host& host = *net_.hosts.back();
  Member* b = &add(place, key(2));
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  b->join(topic(1));
  ASSERT_TRUE(until([&] { return a.talks_to(key(2)) && b->talks_to(key(1)); }));
  // The other process dies without a word and comes back with the same key at once.
  host.set_up(false);
  members_.pop_back();
  net_.world.run_for(10ms);
  host.set_up(true);
  b = &add(place, key(2));
  b->join(topic(1));
  ASSERT_TRUE(until([&] { return b->talks_to(key(1)) && a.past.size() == 1 && a.talks_to(key(2)); }));
  EXPECT_LT(took_, 9s) << "sooner than the old connection would have timed out";
}

TEST_F(Swarms, AServerThatIsKilledAndComesBackIsFoundAgain) {
  Member& a = add(net_.add_open(), key(1));
  Peer& place = net_.add_open();
  sim::Host& host = *net_.hosts.back();
  add(place, key(2));
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  members_.back()->join(topic(1));
  ASSERT_TRUE(until([&] { return a.talks_to(key(2)); }));
  host.set_up(false);
  members_.pop_back();
  ASSERT_TRUE(until([&] { return a.open() == 0; }));
  EXPECT_LT(took_, 10s);
  net_.world.run_for(300s);
  host.set_up(true);
  Member& again = add(place, key(3));
  again.join(topic(1));
  ASSERT_TRUE(until([&] { return a.talks_to(key(3)) && again.talks_to(key(1)); }));
  EXPECT_LT(took_, 10s);
}

TEST_F(Swarms, AnInterruptionHealsOnItsOwn) {
  Member& a = add(net_.add_behind_nat(NatKind::kConsistent), key(1));
  sim::Host& host = *net_.hosts.back();
  Member& b = add(net_.add_open(), key(2));
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  b.join(topic(1));
  ASSERT_TRUE(until([&] { return a.talks_to(key(2)) && b.talks_to(key(1)); }));
  host.set_up(false);
  ASSERT_TRUE(until([&] { return a.open() == 0 && b.open() == 0; }));
  net_.world.run_for(600s);
  host.set_up(true);
  ASSERT_TRUE(until([&] { return a.open() == 1 && b.open() == 1; }, 90s));
  EXPECT_LT(took_, 60s);
}

TEST_F(Swarms, TheWholeDhtMayRestart) {
  Member& a = add(net_.add_open(), key(1));
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  net_.world.run_for(20s);
  for (size_t i = 0; i < 12; ++i) net_.restart(i);
  net_.world.run_for(60s);
  Member& b = add(net_.add_open(), key(2));
  b.join(topic(1));
  ASSERT_TRUE(until([&] { return a.talks_to(key(2)) && b.talks_to(key(1)); }, 60s));
}

/// Two members behind NATs that have found each other.
class ConnectedPair : public Swarms {
 protected:
  void SetUp() override {
    Member& a = add(net_.add_behind_nat(NatKind::kConsistent), key(1));
    Member& b = add(net_.add_behind_nat(NatKind::kConsistent), key(2));
    ASSERT_TRUE(net_.settle());
    a.join(topic(1));
    b.join(topic(1));
    ASSERT_TRUE(until([&] { return a.talks_to(key(2)) && b.talks_to(key(1)); }));
  }
};

TEST_F(ConnectedPair, OutlivesARestartOfTheWholeDhtAndIsFound) {
  net_.world.run_for(std::chrono::minutes(62));
  for (size_t i = 0; i < 12; ++i) net_.restart(i);
  net_.world.run_for(10s);
  Member& c = add(net_.add_open(), key(3));
  c.join(topic(1));
  ASSERT_TRUE(until([&] { return c.talks_to(key(1)) && c.talks_to(key(2)); }, std::chrono::minutes(6)));
  EXPECT_LT(took_, 20s);
}

TEST_F(ConnectedPair, RenewsItsRecordsEveryFiveMinutes) {
  net_.world.run_for(std::chrono::minutes(60));
  for (size_t i = 0; i < 12; ++i)
    for (const uint8_t member : {1, 2}) net_.peers[i]->node.storage().unannounce(topic(1), key(member).public_key);
  net_.world.run_for(std::chrono::seconds(302));
  size_t records = 0;
  for (size_t i = 0; i < 12; ++i) records += net_.peers[i]->node.storage().record_count();
  EXPECT_EQ(records, 24u);
}

TEST_F(Swarms, TheDhtMayComeLater) {
  for (size_t i = 0; i < 12; ++i) net_.hosts[i]->set_up(false);
  Member& a = add(net_.add_open(), key(1));
  Member& b = add(net_.add_behind_nat(NatKind::kConsistent), key(2));
  a.join(topic(1));
  b.join(topic(1));
  net_.world.run_for(200s);
  for (size_t i = 0; i < 12; ++i) net_.hosts[i]->set_up(true);
  ASSERT_TRUE(until([&] { return a.talks_to(key(2)) && b.talks_to(key(1)); }, 120s));
  EXPECT_LT(took_, 60s);
}

TEST_F(Swarms, ABannedKeyIsCutOffAndStaysOut) {
  Member& a = add(net_.add_open(), key(1));
  Member& b = add(net_.add_open(), key(2));
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  b.join(topic(1));
  ASSERT_TRUE(until([&] { return a.talks_to(key(2)); }));
  a.swarm->ban(key(2).public_key);
  EXPECT_TRUE(a.swarm->banned(key(2).public_key));
  ASSERT_TRUE(until([&] { return a.open() == 0 && b.open() == 0; }, 5s));
  net_.world.run_for(300s);
  EXPECT_EQ(a.open(), 0u);
  EXPECT_EQ(b.open(), 0u);
  EXPECT_EQ(a.handed_out, 1);
}

TEST_F(Swarms, TheFirewallHoldsBothWays) {
  SwarmOptions options;
  options.firewall = [](const PublicKey& remote) { return remote == key(2).public_key; };
  Member& a = add(net_.add_open(), key(1), std::move(options));
  Member& b = add(net_.add_open(), key(2));
  Member& c = add(net_.add_open(), key(3));
  ASSERT_TRUE(net_.settle());
  for (auto& member : members_) member->join(topic(1));
  ASSERT_TRUE(until([&] { return a.talks_to(key(3)) && b.talks_to(key(3)) && c.open() == 2; }));
  net_.world.run_for(60s);
  EXPECT_EQ(a.link(key(2)), nullptr);
  EXPECT_EQ(b.link(key(1)), nullptr);
}

TEST_F(Swarms, LeavingUnannounces) {
  Member& a = add(net_.add_open(), key(1));
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  net_.world.run_for(10s);
  bool closed = false;
  a.swarm->close([&] { closed = true; });
  ASSERT_TRUE(until([&] { return closed; }, 10s));
  EXPECT_LT(took_, 4s);
  Member& b = add(net_.add_open(), key(2));
  b.join(topic(1));
  net_.world.run_for(30s);
  EXPECT_EQ(b.swarm->stats().known_peers, 0u);
}

TEST_F(Swarms, FlushedMeansAnnounced) {
  Member& a = add(net_.add_open(), key(1));
  ASSERT_TRUE(net_.settle());
  bool flushed = false;
  a.join(topic(1));
  a.discoveries[0]->flushed([&] { flushed = true; });
  ASSERT_TRUE(until([&] { return flushed; }));
  Member& b = add(net_.add_open(), key(2));
  b.join(topic(1), {.server = false, .client = true});
  ASSERT_TRUE(until([&] { return b.talks_to(key(1)); }));
  EXPECT_LT(took_, 3s);
}

TEST_F(Swarms, WithNobodyToBeFoundNothingIsSaid) {
  Member& a = add(net_.add_open(), key(1));
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  hg::test::LogLines lines;
  net_.world.run_for(std::chrono::minutes(30));
  EXPECT_LE(lines.all.size(), 2u) << lines.all.front();
}

TEST_F(Swarms, QuietWhenNothingHappens) {
  Member& a = add(net_.add_open(), key(1));
  Member& b = add(net_.add_open(), key(2));
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  b.join(topic(1));
  ASSERT_TRUE(until([&] { return a.talks_to(key(2)) && b.talks_to(key(1)); }));
  net_.world.run_for(std::chrono::minutes(30));
  const auto before = a.peer.node.counters().requests_sent;
  net_.world.run_for(std::chrono::minutes(60));
  // Pings of three relays every 3 s are 3600; announces, refreshes and the node's own upkeep share the rest.
  EXPECT_LT(a.peer.node.counters().requests_sent - before, 3600u + 2400u);
  EXPECT_EQ(a.open(), 1u);
  EXPECT_EQ(a.handed_out, 1) << "an idle connection lives";
}

}  // namespace
}  // namespace hg::swarm
