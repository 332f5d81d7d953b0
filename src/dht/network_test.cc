// A private network of our own nodes in virtual time.
#include <gtest/gtest.h>

#include "dht/operations.h"
#include "dht/storage.h"
#include "sim/dht_network.h"

namespace hg::dht {
namespace {

using sim::DhtNetwork;

template <class T>
struct Outcome {
  std::optional<Expected<T>> value;
  bool ok() const { return value && value->ok(); }
  std::function<void(Expected<T>)> callback() {
    return [this](Expected<T> v) { value.emplace(std::move(v)); };
  }
};

struct Lookup {
  std::set<PublicKey> keys;
  Outcome<QueryResult> done;
  QueryHandle query;

  void run(DhtNetwork& net, Node& node, const Topic& topic) {
    query = lookup(
        node, topic, {},
        [this](const Response&, const wire::LookupReply& reply) {
          for (const wire::Peer& peer : reply.peers) keys.insert(peer.public_key);
        },
        done.callback());
    ASSERT_TRUE(net.world.run_until([&] { return done.value.has_value(); }, 60s));
  }
};

class Network50 : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    net_ = std::make_unique<DhtNetwork>(7);
    net_->add_persistent(49);
    ASSERT_TRUE(net_->settle());
  }
  static void TearDownTestSuite() { net_.reset(); }
  static DhtNetwork& net() { return *net_; }

  bool announce_at(Node& node, const Topic& topic, const KeyPair& keys, AnnounceOptions options = {}) {
    Outcome<QueryResult> done;
    const auto query = announce(node, topic, keys, {{0x01020304, 5}}, options, {}, done.callback());
    net().world.run_until([&] { return done.value.has_value(); }, 60s);
    return done.ok() && (*done.value)->committed >= 15;
  }

  static std::unique_ptr<DhtNetwork> net_;
};
std::unique_ptr<DhtNetwork> Network50::net_;

TEST_F(Network50, EveryNodeIsPersistentAndKnowsOthers) {
  for (const auto& node : net().nodes) {
    EXPECT_FALSE(node->ephemeral());
    EXPECT_GE(node->table_size(), 15u);
    EXPECT_TRUE(node->remote_address());
    EXPECT_EQ(node->id(), node_id(*node->remote_address()));
  }
}

TEST_F(Network50, AnnouncedPeerIsFoundFromAnywhere) {
  SeededRng rng(1);
  const Topic topic = rng.array<32>();
  const KeyPair a = crypto::random_key_pair(rng);
  const KeyPair b = crypto::random_key_pair(rng);
  Node& user = net().add_user();
  ASSERT_TRUE(net().settle());
  ASSERT_TRUE(announce_at(user, topic, a));
  AnnounceOptions with_bump;
  with_bump.bump = static_cast<uint64_t>(net().hosts[0]->wall_ms());
  ASSERT_TRUE(announce_at(*net().nodes[3], topic, b, with_bump));
  for (size_t i = 0; i < net().nodes.size(); i += 7) {
    Lookup found;
    found.run(net(), *net().nodes[i], topic);
    EXPECT_EQ(found.keys, (std::set<PublicKey>{a.public_key, b.public_key})) << i;
  }

  Outcome<QueryResult> gone;
  const auto query = unannounce(user, topic, a, {}, gone.callback());
  ASSERT_TRUE(net().world.run_until([&] { return gone.value.has_value(); }, 60s));
  Lookup after;
  after.run(net(), *net().nodes[20], topic);
  EXPECT_EQ(after.keys, std::set<PublicKey>{b.public_key});
}

TEST_F(Network50, AnnounceClearReplacesTheRecord) {
  SeededRng rng(2);
  const Topic topic = rng.array<32>();
  const KeyPair keys = crypto::random_key_pair(rng);
  ASSERT_TRUE(announce_at(*net().nodes[5], topic, keys));
  ASSERT_TRUE(announce_at(*net().nodes[6], topic, keys, {.clear = true}));
  Lookup found;
  found.run(net(), *net().nodes[30], topic);
  EXPECT_EQ(found.keys, std::set<PublicKey>{keys.public_key});
}

TEST_F(Network50, SelfAnnouncementBecomesARoute) {
  SeededRng rng(3);
  const KeyPair keys = crypto::random_key_pair(rng);
  const Hash32 target = hash_target(keys.public_key);
  Node& user = net().add_user();
  ASSERT_TRUE(net().settle());
  ASSERT_TRUE(announce_at(user, target, keys));

  Outcome<QueryResult> done;
  size_t records = 0;
  Endpoint holder;
  const auto query = find_peer(
      *net().nodes[40], target, {},
      [&](const Response& reply, const wire::Peer& peer) {
        EXPECT_EQ(peer.public_key, keys.public_key);
        EXPECT_EQ(peer.relay_addresses, (std::vector<Endpoint>{{0x01020304, 5}}));
        holder = reply.from;
        ++records;
      },
      done.callback());
  ASSERT_TRUE(net().world.run_until([&] { return done.value.has_value(); }, 60s));
  EXPECT_GE(records, 10u);
  for (size_t i = 0; i < net().nodes.size(); ++i) {
    if (net().hosts[i]->address() != holder.address) continue;
    const auto route = net().nodes[i]->find_route(target);
    ASSERT_TRUE(route);
    EXPECT_EQ(route->relay, (Endpoint{net().hosts.back()->address(), user.socket().local_endpoint().port}));
  }
}

TEST_F(Network50, ImmutableAndMutableValues) {
  SeededRng rng(4);
  Node& node = *net().nodes[9];
  const Bytes value = to_bytes(as_bytes("a value"));
  Outcome<Hash32> put;
  auto query = immutable_put(node, value, {}, put.callback());
  ASSERT_TRUE(net().world.run_until([&] { return put.value.has_value(); }, 60s));
  ASSERT_TRUE(put.ok());
  Outcome<std::optional<Bytes>> got;
  query = immutable_get(*net().nodes[33], **put.value, {}, got.callback());
  ASSERT_TRUE(net().world.run_until([&] { return got.value.has_value(); }, 60s));
  ASSERT_TRUE(got.ok() && **got.value);
  EXPECT_EQ(***got.value, value);
  Outcome<std::optional<Bytes>> nothing;
  query = immutable_get(node, Hash32{1}, {}, nothing.callback());
  ASSERT_TRUE(net().world.run_until([&] { return nothing.value.has_value(); }, 60s));
  EXPECT_FALSE(**nothing.value);

  const KeyPair keys = crypto::random_key_pair(rng);
  const auto put_seq = [&](uint64_t seq, std::string_view text) {
    Outcome<QueryResult> done;
    const auto q = mutable_put(node, keys, to_bytes(as_bytes(text)), seq, {}, done.callback());
    net().world.run_until([&] { return done.value.has_value(); }, 60s);
    return done.ok() ? std::string("ok") : done.value->error().code;
  };
  EXPECT_EQ(put_seq(5, "five"), "ok");
  EXPECT_EQ(put_seq(5, "five"), "ok");
  EXPECT_EQ(put_seq(5, "other"), "SEQ_REUSED");
  EXPECT_EQ(put_seq(4, "older"), "SEQ_TOO_LOW");
  EXPECT_EQ(put_seq(6, "six"), "ok");
  EXPECT_EQ(put_seq(7, std::string(kMaxValueBytes + 1, 'x')), "VALUE_TOO_LARGE");
  for (const uint64_t min_seq : {0, 6, 7}) {
    Outcome<std::optional<MutableValue>> read;
    const auto q = mutable_get(*net().nodes[25], keys.public_key, min_seq, true, {}, read.callback());
    ASSERT_TRUE(net().world.run_until([&] { return read.value.has_value(); }, 60s));
    ASSERT_TRUE(read.ok());
    ASSERT_EQ((*read.value)->has_value(), min_seq < 7);
    if (min_seq < 7) {
      EXPECT_EQ((**read.value)->seq, 6u);
      EXPECT_EQ(as_text((**read.value)->value), "six");
    }
  }
}

TEST_F(Network50, CancelledQueryIsSilent) {
  bool called = false;
  auto query = lookup(*net().nodes[1], Topic{1}, {}, {}, [&](Expected<QueryResult>) { called = true; });
  net().world.run_for(15ms);
  query.reset();
  net().world.run_for(60s);
  EXPECT_FALSE(called);
}

TEST_F(Network50, QueryMayBeDestroyedInItsCallbacks) {
  SeededRng rng(6);
  const Topic topic = rng.array<32>();
  ASSERT_TRUE(announce_at(*net().nodes[2], topic, crypto::random_key_pair(rng)));
  QueryHandle query;
  int replies = 0;
  query = lookup(
      *net().nodes[11], topic, {},
      [&](const Response&, const wire::LookupReply&) {
        ++replies;
        query.reset();
      },
      [&](Expected<QueryResult>) { ADD_FAILURE() << "destroyed"; });
  net().world.run_for(10s);
  EXPECT_EQ(replies, 1);
  query = lookup(*net().nodes[11], topic, {}, {}, [&](Expected<QueryResult>) { query.reset(); });
  ASSERT_TRUE(net().world.run_until([&] { return !query; }, 60s));
}

TEST_F(Network50, QueryWithGivenNodesAsksOnlyThem) {
  Outcome<QueryResult> first;
  SeededRng rng(8);
  const Topic topic = rng.array<32>();
  auto query = lookup(*net().nodes[4], topic, {}, {}, first.callback());
  ASSERT_TRUE(net().world.run_until([&] { return first.value.has_value(); }, 60s));
  auto nodes = (*first.value)->closest_nodes();
  ASSERT_EQ(nodes.size(), 20u);
  nodes.resize(3);
  const uint64_t before = net().nodes[4]->counters().requests_sent;
  Outcome<QueryResult> second;
  query = lookup(*net().nodes[4], topic, {.nodes = nodes, .only_these_nodes = true}, {}, second.callback());
  ASSERT_TRUE(net().world.run_until([&] { return second.value.has_value(); }, 60s));
  EXPECT_EQ((*second.value)->replies, 3u);
  EXPECT_EQ((*second.value)->closest_nodes(), nodes);
  EXPECT_EQ(net().nodes[4]->counters().requests_sent - before, 3u);
}

TEST(DhtNetworkLoss, AnnouncementSurvivesLossAndDyingNodes) {
  DhtNetwork net(11);
  net.world.set_default_path({.delay = 20ms, .jitter = 10ms, .loss = 0.1, .duplicate = 0.05, .reorder = 0.05});
  net.add_persistent(40);
  ASSERT_TRUE(net.settle());
  SeededRng rng(5);
  const Topic topic = rng.array<32>();
  const KeyPair keys = crypto::random_key_pair(rng);
  Node& user = net.add_user();
  ASSERT_TRUE(net.settle());
  Outcome<QueryResult> done;
  const auto query = announce(user, topic, keys, {}, {}, {}, done.callback());
  ASSERT_TRUE(net.world.run_until([&] { return done.value.has_value(); }, 60s));
  ASSERT_TRUE(done.ok());
  for (size_t i = 1; i <= 13; ++i) net.kill(i);
  Lookup found;
  found.run(net, *net.nodes[30], topic);
  EXPECT_EQ(found.keys, std::set<PublicKey>{keys.public_key});
  net.world.run_for(15min);
  for (size_t i = 14; i < net.nodes.size(); ++i)
    EXPECT_LE(net.nodes[i]->table_size(), net.nodes.size() - 13) << "dead nodes leave the tables";
  for (size_t i = 14; i < net.nodes.size(); ++i)
    for (const Endpoint& known : net.nodes[i]->recent_nodes(1000))
      for (size_t dead = 1; dead <= 13; ++dead) EXPECT_NE(known.address, net.hosts[dead]->address());
}

TEST(DhtNetworkLoss, DeadBootstrapNodesDoNotHoldUpQueries) {
  for (const bool all_dead : {false, true}) {
    DhtNetwork net(13);
    net.add_persistent(5);
    NodeOptions options = DhtNetwork::user_options();
    options.bootstrap = {"8.200.0.1@8.200.0.1:49737", DhtNetwork::kBootstrap, "8.200.0.2:49737"};
    Node& user = net.add(net.next_address(), options);
    ASSERT_TRUE(net.settle());
    if (all_dead) net.kill(0);
    Lookup first;
    first.run(net, user, Topic{1});
    net.world.run_for(10s);  // the others have been told and checked
    for (int i = 0; i < 5; ++i) {
      const TimePoint start = net.world.now();
      Lookup next;
      next.run(net, user, Topic{2});
      EXPECT_EQ((*next.done.value)->replies, all_dead ? 5u : 6u);
      EXPECT_LT(net.world.now() - start, 500ms) << "all dead: " << all_dead;
    }
  }
}

TEST(DhtNetworkRecords, ExpireUnlessAnnouncedAgain) {
  DhtNetwork net(12);
  net.add_persistent(5);
  ASSERT_TRUE(net.settle());
  SeededRng rng(5);
  const Topic topic = rng.array<32>();
  Outcome<QueryResult> done;
  const auto query = announce(*net.nodes[1], topic, crypto::random_key_pair(rng), {}, {}, {}, done.callback());
  ASSERT_TRUE(net.world.run_until([&] { return done.value.has_value(); }, 60s));
  ASSERT_TRUE(done.ok());
  net.world.run_for(12min);
  Lookup early;
  early.run(net, *net.nodes[2], topic);
  EXPECT_EQ(early.keys.size(), 1u);
  net.world.run_for(16min);
  Lookup late;
  late.run(net, *net.nodes[2], topic);
  EXPECT_TRUE(late.keys.empty());
}

}  // namespace
}  // namespace hg::dht
