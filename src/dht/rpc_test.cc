// One node against a bare socket: exact bytes, packet counts, tokens, commands.
#include "dht/rpc.h"

#include <gtest/gtest.h>

#include "crypto/crypto.h"
#include "dht/operations.h"
#include "dht/storage.h"
#include "sim/world.h"
#include "support/vectors.h"

namespace hg::dht {
namespace {

using boost::json::value;
using test::hex_bytes;

Endpoint endpoint_of(const value& v) {
  return {parse_ipv4(std::string(v.at("host").as_string())).value(), v.at("port").to_number<uint16_t>()};
}

/// A host's Runtime with a scripted generator: table id, then both token secrets, then counting up.
class ScriptedRuntime final : public Runtime, public Rng {
 public:
  explicit ScriptedRuntime(sim::Host& host) : host_(host) {}
  TimePoint now() const override { return host_.now(); }
  int64_t wall_ms() const override { return host_.wall_ms(); }
  TimerQueue& timers() override { return host_.timers(); }
  Rng& rng() override { return *this; }
  UdpNetwork& network() override { return host_; }
  void post(std::function<void()> task) override { host_.post(std::move(task)); }
  void fill(MutableBytes out) override {
    const bool whole = out.size() == 32;
    if (whole) ++calls_;
    std::fill(out.begin(), out.end(), whole && calls_ == 2 ? 0x07 : whole && calls_ == 3 ? 0x08 : next_++);
  }

 private:
  sim::Host& host_;
  int calls_ = 0;
  uint8_t next_ = 0x55;
};

/// A socket that keeps what it gets.
struct Wire : UdpReceiver {
  Wire(sim::Host& host, uint16_t port) : socket(*host.open_udp({0, port})) { socket->set_receiver(this); }
  void on_datagram(UdpSocket&, const Endpoint& from, ByteView data) override { got.emplace_back(from, to_bytes(data)); }
  void on_drained(UdpSocket&) override {}
  std::unique_ptr<UdpSocket> socket;
  std::vector<std::pair<Endpoint, Bytes>> got;
};

/// A node at the vectors' address 9.8.7.6:49737.
struct Bench {
  explicit Bench(bool ephemeral, bool firewalled = false) {
    crypto::init();
    NodeOptions options;
    options.bootstrap = {};
    options.host = host.address();
    options.firewalled = firewalled;
    options.ephemeral = ephemeral ? NodeOptions::Ephemeral::kAlways : NodeOptions::Ephemeral::kNever;
    node = std::make_unique<Node>(runtime, options);
    EXPECT_TRUE(node->start());
    EXPECT_TRUE(world.run_until([&] { return node->ready(); }, 1s));
  }
  /// The table of the vectors: three nodes that enter by a request with their id.
  void fill_table() {
    for (int i = 1; i <= 3; ++i) {
      Wire wire(world.add_host("10.0.0." + std::to_string(i)), static_cast<uint16_t>(1000 + i));
      wire::RpcRequest hello;
      hello.to = server();
      hello.id = node_id(wire.socket->local_endpoint());
      hello.internal = true;
      wire.socket->send(server(), wire::encode(hello));
      world.run_for(10ms);
    }
    EXPECT_EQ(node->table_size(), 3u);
  }
  Endpoint server() { return {host.address(), node->server_port()}; }
  Endpoint client() { return {host.address(), node->client_socket().local_endpoint().port}; }
  /// Sends one request from `from` and returns the one answer, decoded.
  std::optional<wire::RpcResponse> ask(Wire& from, wire::RpcRequest request) {
    from.got.clear();
    from.socket->send(server(), wire::encode(request));
    world.run_for(20ms);
    if (from.got.size() != 1) return std::nullopt;
    return wire::decode_rpc_response(from.got[0].second);
  }

  sim::World world;
  sim::Host& host = world.add_host("9.8.7.6");
  ScriptedRuntime runtime{host};
  std::unique_ptr<Node> node;
};

const value& vectors() {
  static const value all = test::load_vectors("dht-rpc");
  return all;
}

TEST(RpcVectors, Responses) {
  for (const value& c : vectors().at("responses").as_array()) {
    SCOPED_TRACE(c.at("label").as_string().c_str());
    Bench bench(c.at("ephemeral").as_bool());
    bench.fill_table();
    const std::string label(c.at("label").as_string());
    const bool with_value = label.find("LOOKUP with token") != std::string::npos;
    const bool unknown = label.find("UNKNOWN") != std::string::npos;
    const bool bare = label.find("valid token reaches") != std::string::npos;
    bool reached = false;
    for (const uint64_t command : {wire::kLookup, wire::kFindPeer, wire::kAnnounce}) {
      if (unknown) break;
      bench.node->set_command_handler(command, [&](IncomingRequest& request) {
        reached = true;
        EXPECT_TRUE(request.via_server_socket);
        if (bare)
          request.reply(std::nullopt, {.token = false, .closer_nodes = false});
        else
          request.reply(with_value ? std::optional(to_bytes(as_bytes("value"))) : std::nullopt);
      });
    }
    const Endpoint from = endpoint_of(c.at("from"));
    const Endpoint sent_to = endpoint_of(c.at("sent"));
    sim::Host& asker_host = bench.world.add_host(from.host());
    Wire asker(asker_host, from.port);
    std::optional<Wire> other;
    if (sent_to.port != from.port) other.emplace(asker_host, sent_to.port);
    const bool on_server = c.at("received_on").as_string() == "server";
    asker.socket->send(on_server ? bench.server() : bench.client(), hex_bytes(c.at("request_hex")));
    bench.world.run_for(20ms);
    const Wire& answered = other ? *other : asker;
    ASSERT_EQ(answered.got.size(), 1u);
    EXPECT_EQ(to_hex(answered.got[0].second), c.at("sent").at("hex").as_string());
    EXPECT_EQ(answered.got[0].first, c.at("sent").at("socket").as_string() == "server" ? bench.server() : bench.client());
    if (!c.at("reached_handler").as_bool()) {
      EXPECT_FALSE(reached);
      EXPECT_EQ(bench.node->counters().invalid_tokens, 1u);
    }
  }
}

TEST(RpcVectors, Requests) {
  for (const value& c : vectors().at("requests").as_array()) {
    SCOPED_TRACE(c.at("label").as_string().c_str());
    Bench bench(c.at("ephemeral").as_bool(), false);
    const Endpoint to = endpoint_of(c.at("to"));
    if (to.address == bench.host.address()) continue;  // made for the response tests
    const bool firewalled = c.at("firewalled").as_bool();
    UdpSocket* through = firewalled ? &bench.node->client_socket() : nullptr;
    Wire wire(bench.world.add_host(to.host()), to.port);
    Command command{.command = c.at("command").to_number<uint64_t>(), .internal = c.at("internal").as_bool()};
    if (!c.at("target").is_null()) command.target = test::hex_array<32>(c.at("target"));
    if (!c.at("token").is_null()) command.token = test::hex_array<32>(c.at("token"));
    if (!c.at("value").is_null()) command.value = hex_bytes(c.at("value"));
    const auto request = bench.node->request(to, command, [](Expected<Response>) {}, {.socket = through});
    bench.world.run_for(20ms);
    ASSERT_EQ(wire.got.size(), 1u);
    Bytes bytes = wire.got[0].second;
    bytes[2] = 0x34;  // the vectors' tid 0x1234
    bytes[3] = 0x12;
    EXPECT_EQ(to_hex(bytes), c.at("hex").as_string());
    EXPECT_EQ(wire.got[0].first, c.at("sent_on").as_string() == "server" ? bench.server() : bench.client());
  }
}

TEST(RpcVectors, Relay) {
  for (const value& c : vectors().at("relay").as_array()) {
    Bench bench(c.at("ephemeral").as_bool());
    const Endpoint to = endpoint_of(c.at("sent"));
    Wire relayed(bench.world.add_host(to.host()), to.port);
    Wire asker(bench.world.add_host("77.1.2.3"), 3333);
    bench.node->set_command_handler(wire::kPeerHandshake, [&](IncomingRequest& request) {
      request.relay(to, Bytes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    });
    asker.socket->send(bench.server(), hex_bytes(c.at("request_hex")));
    bench.world.run_for(20ms);
    ASSERT_EQ(relayed.got.size(), 1u);
    EXPECT_EQ(to_hex(relayed.got[0].second), c.at("sent").at("hex").as_string());
    EXPECT_TRUE(asker.got.empty());
  }
}

TEST(RpcVectors, IdCountsOnlyFromItsAddress) {
  for (const value& c : vectors().at("decode").as_array()) {
    sim::World world;
    sim::Host& host = world.add_host("1.1.1.1");
    crypto::init();
    NodeOptions options;
    options.bootstrap = {};
    Node node(host, options);
    ASSERT_TRUE(node.start());
    const std::string from(c.at("from").as_string());
    const size_t colon = from.find(':');
    Wire asker(world.add_host(from.substr(0, colon)), static_cast<uint16_t>(std::stoi(from.substr(colon + 1))));
    asker.socket->send({host.address(), node.server_port()}, hex_bytes(c.at("hex")));
    world.run_for(20ms);
    EXPECT_EQ(asker.got.size(), 1u);
    EXPECT_EQ(node.table_size(), c.at("from_id").is_null() ? 0u : 1u);
  }
}

TEST(Rpc, SilentPeerGetsFourIdenticalDatagrams) {
  Bench bench(true);
  Wire silent(bench.world.add_host("77.1.2.3"), 3333);
  std::optional<Expected<Response>> outcome;
  int slow = 0;
  const auto request = bench.node->request(silent.socket->local_endpoint(), {.command = wire::kPing, .internal = true},
                                           [&](Expected<Response> r) { outcome.emplace(std::move(r)); }, {.on_slow = [&] { ++slow; }});
  const TimePoint start = bench.world.now();
  ASSERT_TRUE(bench.world.run_until([&] { return outcome.has_value(); }, 60s));
  EXPECT_EQ(bench.world.now() - start, 4s) << "without an RTT estimate: 1 s per attempt";
  EXPECT_EQ(outcome->error().code, "REQUEST_TIMEOUT");
  EXPECT_EQ(slow, 1);
  ASSERT_EQ(silent.got.size(), 4u);
  for (const auto& [from, bytes] : silent.got) EXPECT_EQ(bytes, silent.got[0].second);
  EXPECT_FALSE(request.active());
  EXPECT_EQ(bench.node->counters().retries, 3u);
  EXPECT_EQ(bench.node->counters().timeouts, 1u);
}

TEST(Rpc, CancelledRequestSendsNoMore) {
  Bench bench(true);
  Wire silent(bench.world.add_host("77.1.2.3"), 3333);
  auto request = bench.node->ping(silent.socket->local_endpoint(), [](Expected<Response>) { ADD_FAILURE(); });
  bench.world.run_for(1500ms);
  EXPECT_TRUE(request.active());
  request.cancel();
  EXPECT_FALSE(request.active());
  bench.world.run_for(10s);
  EXPECT_EQ(silent.got.size(), 2u);
}

TEST(Rpc, ResponseFromElsewhereIsNotTaken) {
  Bench bench(true);
  Wire asked(bench.world.add_host("77.1.2.3"), 3333);
  Wire stranger(bench.world.add_host("66.1.2.3"), 3333);
  std::optional<Endpoint> answered_by;
  const auto request = bench.node->ping(asked.socket->local_endpoint(), [&](Expected<Response> r) { answered_by = r->from; });
  bench.world.run_for(10ms);
  const auto sent = wire::decode_rpc_request(asked.got.at(0).second);
  wire::RpcResponse response;
  response.tid = sent->tid;
  response.to = bench.server();
  stranger.socket->send(bench.server(), wire::encode(response));
  bench.world.run_for(10ms);
  EXPECT_FALSE(answered_by);
  EXPECT_EQ(bench.node->counters().stray_responses, 1u);
  asked.socket->send(bench.server(), wire::encode(response));
  bench.world.run_for(10ms);
  EXPECT_EQ(answered_by, asked.socket->local_endpoint());
  asked.socket->send(bench.server(), wire::encode(response));
  bench.world.run_for(10ms);
  EXPECT_EQ(bench.node->counters().stray_responses, 2u) << "a duplicate";
}

TEST(Rpc, CongestionWindowHoldsBack) {
  Bench bench(true);
  Wire silent(bench.world.add_host("77.1.2.3"), 3333);
  bench.world.run_for(3s);
  std::vector<RequestHandle> requests;
  for (int i = 0; i < 300; ++i)
    requests.push_back(bench.node->ping(silent.socket->local_endpoint(), [](Expected<Response>) {}, {.retries = 0}));
  bench.world.run_for(1ms);
  EXPECT_EQ(silent.got.size(), CongestionWindow::kPerSlot);
  bench.world.run_for(20s);
  EXPECT_EQ(silent.got.size(), 300u);
  EXPECT_EQ(bench.node->counters().timeouts, 300u);
}

TEST(Rpc, OutstandingRequestsAreBounded) {
  Bench bench(true);
  Wire silent(bench.world.add_host("77.1.2.3"), 3333);
  std::vector<RequestHandle> requests;
  size_t refused = 0;
  for (size_t i = 0; i < Rpc::kMaxOutstanding + 10; ++i)
    requests.push_back(bench.node->ping(silent.socket->local_endpoint(),
                                        [&](Expected<Response> r) { refused += !r && r.error().code == "REQUEST_OVERFLOW"; }));
  EXPECT_EQ(refused, 0u) << "callbacks never run inside the call";
  bench.world.run_for(1ms);
  EXPECT_EQ(refused, 10u);
  EXPECT_EQ(bench.node->counters().overflows, 10u);
}

TEST(Rpc, CloseFailsWhatIsOutstanding) {
  Bench bench(true);
  Wire silent(bench.world.add_host("77.1.2.3"), 3333);
  std::string request_error;
  std::string query_error;
  const auto request = bench.node->ping(silent.socket->local_endpoint(), [&](Expected<Response> r) { request_error = r.error().code; });
  const auto query = lookup(*bench.node, Topic{}, {.nodes = {silent.socket->local_endpoint()}}, {},
                            [&](Expected<QueryResult> r) { query_error = r.error().code; });
  bench.world.run_for(100ms);
  bool closed = false;
  bench.node->close([&] { closed = true; });
  bench.world.run_for(1ms);
  EXPECT_TRUE(closed);
  EXPECT_EQ(request_error, "REQUEST_DESTROYED");
  EXPECT_EQ(query_error, "NODE_DESTROYED");
  std::string late;
  const auto refused = bench.node->ping(silent.socket->local_endpoint(), [&](Expected<Response> r) { late = r.error().code; });
  bench.world.run_for(1ms);
  EXPECT_EQ(late, "REQUEST_DESTROYED");
}

TEST(Rpc, DetachedSocketFailsItsRequestsAndAnswersNothing) {
  Bench bench(true);
  Wire silent(bench.world.add_host("77.1.2.3"), 3333);
  std::string error;
  auto pool = *bench.host.open_udp({0, 0});
  bench.node->attach_socket(*pool);
  std::optional<IncomingRequest> kept;
  bench.node->set_command_handler(wire::kPeerHolepunch, [&](IncomingRequest& request) { kept = request; });
  wire::RpcRequest punch;
  punch.command = wire::kPeerHolepunch;
  bench.node->handle_datagram(*pool, silent.socket->local_endpoint(), wire::encode(punch));
  ASSERT_TRUE(kept);
  EXPECT_TRUE(kept->external);
  const auto request =
      bench.node->ping(silent.socket->local_endpoint(), [&](Expected<Response> r) { error = r.error().code; }, {.socket = pool.get()});
  bench.world.run_for(10ms);
  EXPECT_EQ(silent.got.size(), 1u);
  EXPECT_EQ(silent.got[0].first.port, pool->local_endpoint().port);
  bench.node->detach_socket(*pool);
  EXPECT_EQ(error, "REQUEST_DESTROYED");
  pool.reset();
  kept->reply(std::nullopt);
  kept->relay(silent.socket->local_endpoint(), {});
  bench.world.run_for(10ms);
  EXPECT_EQ(silent.got.size(), 1u);
}

TEST(Rpc, MalformedDatagramsAreCounted) {
  Bench bench(false);
  Wire peer(bench.world.add_host("77.1.2.3"), 3333);
  int probes = 0;
  bench.node->set_probe_handler([&](UdpSocket&, const Endpoint&) { ++probes; });
  const Bytes junk[] = {{0x03, 0x00}, {0x13, 0xff}, {0x03, 0x1f, 1, 2, 3}, {0xff, 0x01, 0, 0}, Bytes(3000, 0x03)};
  for (const Bytes& bytes : junk) peer.socket->send(bench.server(), bytes);
  peer.socket->send(bench.server(), Bytes{0});
  bench.world.run_for(10ms);
  EXPECT_EQ(bench.node->counters().malformed, 5u);
  EXPECT_EQ(probes, 1);
  EXPECT_TRUE(peer.got.empty());
  bench.node->set_datagram_filter([](UdpSocket&, const Endpoint&, ByteView) { return true; });
  peer.socket->send(bench.server(), junk[0]);
  bench.world.run_for(10ms);
  EXPECT_EQ(bench.node->counters().malformed, 5u) << "consumed by the filter";
}

TEST(Rpc, DelayedPing) {
  Bench bench(true);
  sim::Host& other = bench.world.add_host("77.1.2.3");
  Node asker(other, {.bootstrap = {}, .ephemeral = NodeOptions::Ephemeral::kAlways});
  ASSERT_TRUE(asker.start());
  std::optional<Duration> rtt;
  const auto request = asker.delayed_ping(bench.server(), 3s, [&](Expected<Response> r) { rtt = r->rtt; });
  bench.world.run_for(10s);
  ASSERT_TRUE(rtt);
  EXPECT_EQ(*rtt, 3s + 2ms);
  Wire peer(other, 3333);
  wire::RpcRequest too_long;
  too_long.internal = true;
  too_long.command = wire::kDelayedPing;
  too_long.value = Bytes{0x11, 0x27, 0, 0};  // 10001 ms
  EXPECT_FALSE(bench.ask(peer, too_long));
}

TEST(Rpc, DownHintMakesTheNodeCheck) {
  Bench bench(false);
  bench.fill_table();
  Wire peer(bench.world.add_host("77.1.2.3"), 3333);
  wire::RpcRequest hint;
  hint.internal = true;
  hint.command = wire::kDownHint;
  hint.value = to_bytes(wire::encode_endpoint({0x0a000001, 1001}));
  EXPECT_TRUE(bench.ask(peer, hint));
  bench.world.run_for(5s);
  EXPECT_EQ(bench.node->table_size(), 2u);
}

// --- storage, by hand-made requests ---------------------------------------------------------------

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

TEST(Caches, GenerationsBoundCountAndBytes) {
  GenerationCache<Bytes> cache(100, 1000, [](const Bytes& b) { return b.size(); });
  Hash32 key{};
  for (uint8_t i = 0; i < 250; ++i) {
    key[0] = i;
    cache.set(key, Bytes(1));
    EXPECT_LE(cache.size(), 200u);
  }
  EXPECT_NE(cache.get(key), nullptr);
  key[0] = 0;
  EXPECT_EQ(cache.get(key), nullptr);
  cache = {100, 1000, [](const Bytes& b) { return b.size(); }};
  for (uint8_t i = 0; i < 250; ++i) {
    key[0] = i;
    cache.set(key, Bytes(600));
    EXPECT_LE(cache.size(), 4u);
  }
  key[0] = 1;
  cache.set(key, Bytes(1));
  cache.rotate();
  EXPECT_NE(cache.use(key), nullptr);
  cache.rotate();
  EXPECT_NE(cache.get(key), nullptr) << "used entries become young again";
  cache.rotate();
  EXPECT_EQ(cache.get(key), nullptr);
}

TEST(Caches, RecordsBoundTotalAndPerTopic) {
  SeededRng rng(1);
  RecordCache cache(1000, 50);
  PublicKey key{};
  for (int i = 0; i < 200; ++i) {
    key[0] = static_cast<uint8_t>(i);
    cache.add(Topic{1}, key, {static_cast<uint8_t>(i)}, rng);
  }
  EXPECT_EQ(cache.size(), 50u);
  EXPECT_EQ(cache.sample(Topic{1}, 20, rng).size(), 20u);
  cache.add(Topic{2}, key, {1}, rng);
  cache.add(Topic{2}, key, {2}, rng);
  EXPECT_EQ(cache.sample(Topic{2}, 20, rng), std::vector<Bytes>{{2}}) << "a key has one record, the newest";
  for (int i = 0; i < 5000; ++i) {
    Topic topic{3};
    topic[1] = static_cast<uint8_t>(i);
    topic[2] = static_cast<uint8_t>(i >> 8);
    cache.add(topic, key, {1}, rng);
    EXPECT_LE(cache.size(), 2002u);
  }
}

}  // namespace
}  // namespace hg::dht
