// The storage role, by requests made by hand; the bounds of its caches.
#include "dht/storage.h"

#include <gtest/gtest.h>

#include "dht/signing.h"
#include "support/dht_bench.h"

namespace hg::dht {
namespace {

struct Announcer {
  Announcer(Bench& b, sim::Host& host, uint8_t seed) : bench(b), wire(host, 0), keys(crypto::key_pair_from_seed(Seed{seed})) {}
  Hash32 token(const Hash32& target) {
    wire::RpcRequest find;
    find.command = wire::kFindPeer;
    find.target = target;
    return bench.ask(wire, find)->token.value();
  }
  std::optional<wire::RpcResponse> put(wire::Command command, const Hash32& target, const Hash32& with, Bytes value) {
    wire::RpcRequest request;
    request.command = command;
    request.target = target;
    request.token = with;
    request.value = std::move(value);
    return bench.ask(wire, request);
  }
  Bench& bench;
  Wire wire;
  KeyPair keys;
};

Bytes announcement(const KeyPair& keys, const Hash32& target, const Hash32& id, const Hash32& token, std::vector<Endpoint> relays) {
  wire::Announce message;
  message.peer = wire::Peer{keys.public_key, std::move(relays)};
  Bytes body;
  for (ByteView part : {ByteView(target), ByteView(id), ByteView(token)}) append_bytes(body, part);
  append_bytes(body, wire::encode(*message.peer));
  const Hash32 ns = crypto::blake2b_256({crypto::blake2b_256({as_bytes("hyperswarm/dht")}), Bytes{4}});
  const Hash32 hash = crypto::blake2b_256({body});
  Bytes signable = to_bytes(ns);
  append_bytes(signable, hash);
  message.signature = crypto::sign_detached(signable, keys.secret_key);
  return wire::encode(message);
}

TEST(Storage, AnnounceIsCheckedAndTrimmed) {
  Bench bench(false);
  Announcer a(bench, bench.world.add_host("77.1.2.3"), 1);
  const Topic topic{9};
  const Hash32 token = a.token(topic);
  const Hash32 id = *bench.node->id();
  Bytes good = announcement(a.keys, topic, id, token, {{1, 1}, {2, 2}, {3, 3}, {4, 4}});
  Bytes forged = good;
  forged.back() ^= 1;
  EXPECT_FALSE(a.put(wire::kAnnounce, topic, token, forged)) << "silence";
  EXPECT_FALSE(a.put(wire::kAnnounce, Topic{8}, token, good)) << "signed for another target";
  EXPECT_EQ(bench.node->storage().record_count(), 0u);
  const auto ok = a.put(wire::kAnnounce, topic, token, good);
  ASSERT_TRUE(ok);
  EXPECT_FALSE(ok->token || ok->value || !ok->closer_nodes.empty());
  wire::RpcRequest find;
  find.command = wire::kLookup;
  find.target = topic;
  const auto reply = bench.ask(a.wire, find);
  const auto peers = wire::decode_lookup_reply(reply->value.value());
  ASSERT_EQ(peers->peers.size(), 1u);
  EXPECT_EQ(peers->peers[0].relay_addresses, (std::vector<Endpoint>{{1, 1}, {2, 2}, {3, 3}}));
}

TEST(Storage, SelfAnnounceRoutesToTheSource) {
  Bench bench(false);
  Announcer a(bench, bench.world.add_host("77.1.2.3"), 1);
  const Hash32 target = hash_target(a.keys.public_key);
  const Hash32 token = a.token(target);
  ASSERT_TRUE(a.put(wire::kAnnounce, target, token, announcement(a.keys, target, *bench.node->id(), token, {})));
  EXPECT_EQ(bench.node->storage().route_count(), 1u);
  EXPECT_EQ(bench.node->storage().record_count(), 0u);
  EXPECT_EQ(bench.node->find_route(target)->relay, a.wire.socket->local_endpoint());
  bench.node->storage().retain(target, {1, 2, 3});
  EXPECT_FALSE(bench.node->find_route(target));
  wire::RpcRequest find;
  find.command = wire::kFindPeer;
  find.target = target;
  EXPECT_EQ(bench.ask(a.wire, find)->value, (Bytes{1, 2, 3}));
  bench.node->storage().release(target);
  EXPECT_FALSE(bench.ask(a.wire, find)->value);
}

TEST(Storage, ValuesAreKeptOnlyUnderWhatProvesThem) {
  Bench bench(false);
  Announcer a(bench, bench.world.add_host("77.1.2.3"), 1);
  const Hash32 of_key = crypto::blake2b_256({ByteView(a.keys.public_key)});
  const Hash32 token = a.token(of_key);
  const Bytes value = to_bytes(as_bytes("five"));
  wire::MutablePut put{a.keys.public_key, 5, value, crypto::sign_detached(mutable_signable(5, value), a.keys.secret_key)};
  const auto refused = [&](const wire::MutablePut& message, const Hash32& target) {
    return !a.put(wire::kMutablePut, target, token, wire::encode(message));
  };
  wire::MutablePut later = put;
  later.seq = 6;
  wire::MutablePut other = put;
  other.value.back() ^= 1;
  EXPECT_TRUE(refused(later, of_key)) << "signed for another seq";
  EXPECT_TRUE(refused(other, of_key)) << "signed for another value";
  EXPECT_TRUE(refused(put, Hash32{1})) << "another key's place";
  EXPECT_FALSE(refused(put, of_key));

  const Hash32 of_value = crypto::blake2b_256({ByteView(value)});
  const Hash32 second = a.token(of_value);
  EXPECT_FALSE(a.put(wire::kImmutablePut, of_value, second, other.value)) << "not what the target is the hash of";
  EXPECT_TRUE(a.put(wire::kImmutablePut, of_value, second, value));
}

TEST(Storage, TokensRotateEvery7500ms) {
  Bench bench(false);
  Announcer a(bench, bench.world.add_host("77.1.2.3"), 1);
  const Topic topic{9};
  const Hash32 token = a.token(topic);
  const auto works = [&] { return a.put(wire::kAnnounce, topic, token, announcement(a.keys, topic, *bench.node->id(), token, {})); };
  bench.world.run_for(7s);
  EXPECT_EQ(works()->error, 0u);
  bench.world.run_for(15s);
  const auto refused = works();
  EXPECT_EQ(refused->error, wire::kInvalidToken);
  EXPECT_TRUE(refused->token);

  Node user(bench.world.add_host("55.1.2.3"), {.bootstrap = {}, .ephemeral = NodeOptions::Ephemeral::kAlways});
  ASSERT_TRUE(user.start());
  Response stale;
  stale.from = bench.server();
  stale.id = bench.node->id();
  stale.token = Hash32{1};
  std::optional<uint64_t> error;
  const auto request = request_announce(user, topic, a.keys, stale, {}, 0, [&](Expected<Response> r) { error = r->error; });
  bench.world.run_for(1s);
  EXPECT_EQ(error, 0u) << "retried with the fresh token";
  EXPECT_FALSE(request.active());
  std::string refused_code;
  const auto no_token =
      request_announce(user, topic, a.keys, Response{}, {}, 0, [&](Expected<Response> r) { refused_code = r.error().code; });
  bench.world.run_for(1s);
  EXPECT_EQ(refused_code, "NO_TOKEN");
}

TEST(Storage, OneHostLeavesRoomForOthers) {
  Bench bench(false, false, 8);
  Announcer other(bench, bench.world.add_host("55.1.2.3"), 200);
  Announcer greedy(bench, bench.world.add_host("77.1.2.3"), 100);
  const auto announce = [&](Announcer& who, const Hash32& target) {
    const Hash32 token = who.token(target);
    return who.put(wire::kAnnounce, target, token, announcement(who.keys, target, *bench.node->id(), token, {})).has_value();
  };
  const auto found = [&](wire::Command command, const Hash32& target) {
    wire::RpcRequest find;
    find.command = command;
    find.target = target;
    return bench.ask(other.wire, find)->value.has_value();
  };
  const Hash32 others = hash_target(other.keys.public_key);
  ASSERT_TRUE(announce(other, Topic{200}));
  ASSERT_TRUE(announce(other, others));
  for (uint8_t i = 1; i <= 20; ++i) EXPECT_EQ(announce(greedy, Topic{i}), i <= 4) << "topic " << int{i};
  for (uint8_t i = 1; i <= 20; ++i) {
    greedy.keys = crypto::key_pair_from_seed(Seed{i});
    EXPECT_EQ(announce(greedy, hash_target(greedy.keys.public_key)), i <= 4) << "key " << int{i};
  }
  EXPECT_TRUE(found(wire::kLookup, Topic{200}));
  EXPECT_TRUE(found(wire::kFindPeer, others));
  EXPECT_TRUE(announce(other, Topic{201}));
}

TEST(Storage, EphemeralNodesRefuse) {
  Bench bench(true);
  Wire peer(bench.world.add_host("77.1.2.3"), 3333);
  wire::RpcRequest find;
  find.command = wire::kLookup;
  find.target = Topic{1};
  EXPECT_EQ(bench.ask(peer, find)->error, wire::kUnknownCommand);
  find.command = 99;
  EXPECT_EQ(bench.ask(peer, find)->error, wire::kUnknownCommand);
}

Hash32 numbered(uint32_t i) { return Hash32{static_cast<uint8_t>(i), static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i >> 16)}; }

PublicKey peer_key(uint32_t i) { return PublicKey{static_cast<uint8_t>(i), static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i >> 16)}; }

GenerationCache<Bytes> byte_cache() {
  return GenerationCache<Bytes>(100, 1000, [](const Bytes& b) { return b.size(); });
}

TEST(Caches, GenerationsBoundCountAndBytes) {
  auto cache = byte_cache();
  for (uint32_t i = 0; i < 250; ++i) {
    EXPECT_TRUE(cache.set(numbered(i), Bytes(1), i));
    EXPECT_LE(cache.size(), 200u);
  }
  EXPECT_NE(cache.get(numbered(249)), nullptr);
  EXPECT_EQ(cache.get(numbered(0)), nullptr);
  cache = byte_cache();
  for (uint32_t i = 0; i < 250; ++i) {
    EXPECT_TRUE(cache.set(numbered(i), Bytes(400), i));
    EXPECT_LE(cache.size(), 6u);
  }
  cache.set(numbered(1), Bytes(1), 1);
  cache.rotate();
  EXPECT_NE(cache.use(numbered(1)), nullptr);
  cache.rotate();
  EXPECT_NE(cache.get(numbered(1)), nullptr) << "used entries become young again";
  cache.rotate();
  EXPECT_EQ(cache.get(numbered(1)), nullptr);
}

TEST(Caches, OneHostFillsHalfOfAGeneration) {
  constexpr uint32_t kGreedy = 1, kOther = 2;
  auto cache = byte_cache();
  ASSERT_TRUE(cache.set(numbered(999), Bytes(1), kOther));
  for (uint32_t i = 0; i < 300; ++i) EXPECT_EQ(cache.set(numbered(i), Bytes(1), kGreedy), i < 50) << i;
  EXPECT_NE(cache.get(numbered(999)), nullptr);
  EXPECT_TRUE(cache.set(numbered(0), Bytes(2), kGreedy)) << "its own may change";
  EXPECT_FALSE(cache.set(numbered(0), Bytes(500), kGreedy)) << "but not grow beyond half of the bytes";
  EXPECT_EQ(cache.get(numbered(0))->size(), 2u) << "and what is there stays then";
  cache.erase(numbered(1));
  EXPECT_TRUE(cache.set(numbered(1), Bytes(1), kGreedy)) << "what went has left room";
  cache.rotate();
  for (uint32_t i = 0; i < 50; ++i) EXPECT_TRUE(cache.set(numbered(1000 + i), Bytes(1), kGreedy)) << "the next generation is another one";
  EXPECT_NE(cache.use(numbered(0)), nullptr);
  cache.set(numbered(998), Bytes(1), kOther);
  cache.rotate();
  EXPECT_NE(cache.get(numbered(998)), nullptr);
  EXPECT_EQ(cache.get(numbered(0)), nullptr) << "nor do its old ones become young beyond half";
  cache = byte_cache();
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT_TRUE(cache.set(numbered(0), Bytes(500), kGreedy));
    EXPECT_FALSE(cache.set(numbered(1), Bytes(1), kGreedy)) << "half of the bytes";
    cache.erase(numbered(0));
  }
}

TEST(Caches, RecordsBoundTotalAndPerTopic) {
  SeededRng rng(1);
  RecordCache cache(1000, 50);
  for (uint32_t i = 0; i < 200; ++i) cache.add(Topic{1}, peer_key(i), {static_cast<uint8_t>(i)}, i, rng);
  EXPECT_EQ(cache.size(), 50u);
  EXPECT_EQ(cache.sample(Topic{1}, 20, rng).size(), 20u);
  cache.add(Topic{2}, peer_key(1), {1}, 1, rng);
  cache.add(Topic{2}, peer_key(1), {2}, 2, rng);
  EXPECT_EQ(cache.sample(Topic{2}, 20, rng), std::vector<Bytes>{{2}}) << "a key has one record, the newest";
  for (uint32_t i = 0; i < 5000; ++i) {
    cache.add(numbered(i), peer_key(1), {1}, i, rng);
    EXPECT_LE(cache.size(), 2002u);
  }
}

TEST(Caches, OneHostFillsHalfOfTheRecords) {
  SeededRng rng(1);
  RecordCache cache(1000, 50);
  ASSERT_TRUE(cache.add(Topic{1}, peer_key(1), {1}, 2, rng));
  for (uint32_t i = 0; i < 3000; ++i) EXPECT_EQ(cache.add(numbered(1000 + i), peer_key(1), {1}, 1, rng), i < 500) << i;
  EXPECT_EQ(cache.sample(Topic{1}, 20, rng).size(), 1u);
  EXPECT_TRUE(cache.add(numbered(1000), peer_key(1), {2}, 1, rng)) << "its own may change";
  cache.remove(numbered(1001), peer_key(1));
  EXPECT_TRUE(cache.add(numbered(1001), peer_key(1), {1}, 1, rng)) << "what went has left room";
}

TEST(Caches, AHostWithManyKeysHidesNobody) {
  SeededRng rng(1);
  RecordCache cache(10000, 400);
  const auto seen = [&](uint8_t record) {
    const auto found = cache.sample(Topic{1}, 20, rng);
    EXPECT_EQ(found.size(), 20u);
    return std::count(found.begin(), found.end(), Bytes{record});
  };
  for (uint32_t i = 0; i < 5; ++i) cache.add(Topic{1}, peer_key(i), {static_cast<uint8_t>(i)}, 100 + i, rng);
  for (uint32_t i = 0; i < 1000; ++i) cache.add(Topic{1}, peer_key(1000 + i), {99}, 1, rng);
  EXPECT_EQ(cache.size(), 400u);
  for (uint32_t i = 5; i < 10; ++i) cache.add(Topic{1}, peer_key(i), {static_cast<uint8_t>(i)}, 100 + i, rng);
  for (uint32_t i = 0; i < 1000; ++i) cache.add(Topic{1}, peer_key(2000 + i), {99}, 1, rng);
  EXPECT_EQ(cache.size(), 400u);
  for (uint8_t i = 0; i < 10; ++i) EXPECT_EQ(seen(i), 1) << int{i};
  cache.rotate();
  for (uint8_t i = 0; i < 10; ++i) EXPECT_EQ(seen(i), 1) << int{i};
}

TEST(Caches, SamplesAreByChance) {
  SeededRng rng(1);
  RecordCache cache(1000, 400);
  for (uint32_t i = 0; i < 40; ++i) cache.add(Topic{1}, peer_key(i), {static_cast<uint8_t>(i)}, i < 20 ? 1 : i, rng);
  std::array<int, 40> seen{};
  for (int run = 0; run < 2000; ++run)
    for (const Bytes& record : cache.sample(Topic{1}, 10, rng)) ++seen[record[0]];
  for (size_t i = 0; i < 20; ++i) EXPECT_NEAR(seen[i], 2000 * 10 / 21 / 20, 25) << "of one host: " << i;
  for (size_t i = 20; i < 40; ++i) EXPECT_NEAR(seen[i], 2000 * 10 / 21, 110) << "of a host each: " << i;
}

}  // namespace
}  // namespace hg::dht
