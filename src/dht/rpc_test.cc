// One node against a bare socket: exact bytes, packet counts, tokens, commands.
#include "dht/rpc.h"

#include <gtest/gtest.h>

#include "sim/dht_network.h"
#include "support/dht_bench.h"
#include "support/vectors.h"

namespace hg::dht {
namespace {

using boost::json::value;
using test::hex_bytes;

Endpoint endpoint_of(const value& v) {
  return {parse_ipv4(std::string(v.at("host").as_string())).value(), v.at("port").to_number<uint16_t>()};
}

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

TEST(Rpc, DownHintAboutANodeThatAnswersChangesNothing) {
  sim::DhtNetwork net(5);
  net.add_persistent(4);
  ASSERT_TRUE(net.settle());
  net.world.run_for(20s);
  Node& node = *net.nodes[1];
  const Endpoint healthy = net.nodes[2]->server_socket().local_endpoint();
  const size_t before = node.table_size();
  const auto spoken = node.ping(healthy, [](Expected<Response> answer) { EXPECT_TRUE(answer); });
  net.world.run_for(50ms);
  const auto hint = net.nodes[3]->request(node.server_socket().local_endpoint(),
                                          {.command = wire::kDownHint, .value = to_bytes(wire::encode_endpoint(healthy)), .internal = true},
                                          [](Expected<Response> answer) { EXPECT_TRUE(answer); });
  net.world.run_for(50ms);
  EXPECT_EQ(node.table_size(), before);
}

}  // namespace
}  // namespace hg::dht
