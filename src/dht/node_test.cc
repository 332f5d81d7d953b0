// What a node learns about itself and its network: NAT, persistence, outages, sleep, address changes.
#include "dht/node.h"

#include <gtest/gtest.h>

#include "dht/operations.h"
#include "sim/dht_network.h"

namespace hg::dht {
namespace {

using sim::DhtNetwork;

/// Sockets behind a NAT on one public host: inner ports are hidden, strangers cannot get in. Cone: one
/// mapping per socket, filtered by address and port. Symmetric: one mapping per destination.
class NatSocket final : public UdpSocket, public UdpReceiver {
 public:
  NatSocket(sim::Host& outer, uint16_t inner_port, bool symmetric) : outer_(outer), inner_port_(inner_port), symmetric_(symmetric) {}
  Endpoint local_endpoint() const override { return {0xc0a80102, inner_port_}; }
  void set_receiver(UdpReceiver* receiver) override { receiver_ = receiver; }
  SendResult send(const Endpoint& to, ByteView data, int) override {
    auto& mapping = mappings_[symmetric_ ? to : Endpoint{}];
    if (!mapping) {
      mapping = *outer_.open_udp({0, 0});
      mapping->set_receiver(this);
    }
    contacted_.insert(to);
    return mapping->send(to, data);
  }
  SendResult send_fragmentable(const Endpoint& to, ByteView data) override { return send(to, data, kDefaultTtl); }
  size_t max_segments() const override { return 1; }
  size_t max_segment_bytes() const override { return 1472; }
  SendResult send_segments(const Endpoint&, std::span<const ByteView>, size_t) override { return SendResult::kFailed; }
  void on_writable(std::function<void()> callback) override { outer_.post(std::move(callback)); }
  size_t path_mtu(const Endpoint&) const override { return 0; }
  void on_datagram(UdpSocket&, const Endpoint& from, ByteView data) override {
    if (receiver_ != nullptr && contacted_.contains(from)) receiver_->on_datagram(*this, from, data);
  }
  void on_drained(UdpSocket&) override {
    if (receiver_ != nullptr) receiver_->on_drained(*this);
  }

 private:
  sim::Host& outer_;
  uint16_t inner_port_;
  bool symmetric_;
  UdpReceiver* receiver_ = nullptr;
  std::map<Endpoint, std::unique_ptr<UdpSocket>> mappings_;
  std::set<Endpoint> contacted_;
};

/// A host's Runtime with parts replaced: a NAT in front, a wall clock that can jump, other interface addresses.
class OddRuntime final : public Runtime, public UdpNetwork {
 public:
  enum class Nat { kNone, kCone, kSymmetric };
  explicit OddRuntime(sim::Host& host, Nat nat = Nat::kNone) : host_(host), nat_(nat) {}
  TimePoint now() const override { return host_.now(); }
  int64_t wall_ms() const override { return host_.wall_ms() + wall_offset_ms; }
  TimerQueue& timers() override { return host_.timers(); }
  Rng& rng() override { return host_.rng(); }
  UdpNetwork& network() override { return *this; }
  void post(std::function<void()> task) override { host_.post(std::move(task)); }
  Expected<std::unique_ptr<UdpSocket>> open_udp(const Endpoint& bind) override {
    if (nat_ == Nat::kNone) return host_.open_udp(bind);
    return std::unique_ptr<UdpSocket>(
        std::make_unique<NatSocket>(host_, bind.port != 0 ? bind.port : next_port_++, nat_ == Nat::kSymmetric));
  }
  std::vector<uint32_t> interface_addresses() const override { return interfaces.empty() ? host_.interface_addresses() : interfaces; }
  void resolve(const std::string& name, std::function<void(Expected<std::vector<uint32_t>>)> callback) override {
    host_.resolve(name, std::move(callback));
  }

  int64_t wall_offset_ms = 0;
  std::vector<uint32_t> interfaces;  // none: the host's

 private:
  sim::Host& host_;
  Nat nat_;
  uint16_t next_port_ = 50000;
};

struct Events : NodeListener {
  void on_ready() override { log += "ready "; }
  void on_persistent() override { log += "persistent "; }
  void on_ephemeral() override { log += "ephemeral "; }
  void on_wakeup() override { log += "wakeup "; }
  void on_network_change() override { log += "change "; }
  void on_health(Health health) override {
    log += health == Health::kOnline ? "online " : health == Health::kDegraded ? "degraded " : "offline ";
  }
  std::string log;
};

struct Private : DhtNetwork {
  explicit Private(size_t persistent, uint64_t seed = 3) : DhtNetwork(seed) {
    add_persistent(persistent);
    EXPECT_TRUE(settle());
  }
  /// A user on a special runtime.
  std::unique_ptr<Node> user(OddRuntime& runtime, NodeOptions options = user_options()) {
    auto node = std::make_unique<Node>(runtime, options);
    EXPECT_TRUE(node->start());
    EXPECT_TRUE(world.run_until([&] { return node->ready(); }, 60s));
    return node;
  }
};

TEST(NodeReachability, OpenNodeKnowsAtOnce) {
  Private net(10);
  Node& user = net.add_user();
  EXPECT_TRUE(user.firewalled());
  ASSERT_TRUE(net.settle());
  EXPECT_FALSE(user.firewalled());
  EXPECT_TRUE(user.ephemeral());
  EXPECT_FALSE(user.id());
  EXPECT_EQ(user.remote_address(), (Endpoint{net.hosts.back()->address(), user.server_port()}));
  EXPECT_EQ(&user.socket(), &user.server_socket());
  EXPECT_EQ(user.health(), Health::kOnline);
}

/// A node that tells everybody the same lie about their address.
struct Liar final : UdpReceiver {
  Liar(sim::Host& h, uint16_t port, const Endpoint& told) : host(h), lie(told), socket(*host.open_udp({0, port})) {
    socket->set_receiver(this);
  }
  Hash32 id() const { return node_id({host.address(), socket->local_endpoint().port}); }
  void ping(const Endpoint& to) {
    wire::RpcRequest request;
    request.to = lie;
    request.id = id();
    request.internal = true;
    request.command = wire::kPing;
    socket->send(to, wire::encode(request));
  }
  void on_datagram(UdpSocket&, const Endpoint& from, ByteView data) override {
    const auto request = data[0] == wire::kRpcRequest ? wire::decode_rpc_request(data) : std::nullopt;
    if (!request) return;
    wire::RpcResponse response;
    response.tid = request->tid;
    response.to = lie;
    response.id = id();
    socket->send(from, wire::encode(response));
    answers++;
  }
  void on_drained(UdpSocket&) override {}
  sim::Host& host;
  Endpoint lie;
  std::unique_ptr<UdpSocket> socket;
  int answers = 0;
};

TEST(NodeReachability, OneHostHasOneVoice) {
  Private net(10);
  Node& user = net.add_user();
  ASSERT_TRUE(net.settle());
  net.world.run_for(5s);
  const Endpoint address{net.hosts.back()->address(), user.server_port()};
  ASSERT_EQ(user.remote_address(), address);
  sim::Host& host = net.world.add_host("8.66.6.6");
  std::vector<std::unique_ptr<Liar>> liars;
  for (uint16_t i = 0; i < 20; ++i) {
    liars.push_back(std::make_unique<Liar>(host, static_cast<uint16_t>(7000 + i), Endpoint{*parse_ipv4("8.66.6.7"), user.server_port()}));
    liars.back()->ping(address);
    net.world.run_for(20ms);
    EXPECT_EQ(user.remote_address(), address) << i;
  }
  net.world.run_for(15min);
  EXPECT_EQ(user.remote_address(), address);
  const auto answered = [](const auto& liar) { return liar->answers > 0; };
  EXPECT_GE(std::count_if(liars.begin(), liars.end(), answered), 16) << "they are in the table, and are asked";
  const auto recent = user.recent_nodes(5);
  EXPECT_LE(std::count_if(recent.begin(), recent.end(), [&](const Endpoint& e) { return e.address == host.address(); }), 1);
}

struct OddPath {
  const char* name;
  size_t nodes;
  sim::Path path;
};

class OpenNode : public testing::TestWithParam<OddPath> {};

TEST_P(OpenNode, KnowsSoonInSpiteOf) {
  Private net(GetParam().nodes);
  for (int i = 0; i < 12; ++i) {
    Node& user = net.add_user();
    for (const auto& other : net.hosts) net.world.set_path(*net.hosts.back(), *other, GetParam().path);
    ASSERT_TRUE(net.settle());
    net.world.run_for(5s);
    EXPECT_FALSE(user.firewalled()) << i;
    EXPECT_EQ(user.remote_address(), (Endpoint{net.hosts.back()->address(), user.server_port()}));
  }
}

INSTANTIATE_TEST_SUITE_P(NodeReachability, OpenNode,
                         testing::Values(OddPath{"loss", 10, {.delay = 10ms, .loss = 0.3}},
                                         OddPath{"queries_that_end_before_the_test", 2, {.delay = 1ms, .jitter = 40ms}}),
                         [](const auto& param) { return param.param.name; });

TEST(NodeReachability, ConeNatIsFirewalledWithAKnownAddress) {
  Private net(10);
  OddRuntime runtime(net.world.add_host("8.3.0.1"), OddRuntime::Nat::kCone);
  const auto user = net.user(runtime);
  net.world.run_for(2min);
  EXPECT_TRUE(user->firewalled());
  EXPECT_FALSE(user->remote_address());
  ASSERT_TRUE(user->external_address());
  EXPECT_EQ(user->external_address()->host(), "8.3.0.1");
  EXPECT_NE(user->external_address()->port, 0);
  EXPECT_EQ(&user->socket(), &user->client_socket());
  net.world.run_for(60min);
  EXPECT_TRUE(user->ephemeral()) << "never persistent behind a NAT";
}

TEST(NodeReachability, SymmetricNatHasNoPort) {
  Private net(12);
  OddRuntime runtime(net.world.add_host("8.3.0.2"), OddRuntime::Nat::kSymmetric);
  const auto user = net.user(runtime);
  net.world.run_for(2min);
  ASSERT_TRUE(user->external_address());
  EXPECT_EQ(*user->external_address(), (Endpoint{*parse_ipv4("8.3.0.2"), 0}));
  EXPECT_TRUE(user->firewalled());
}

TEST(NodeReachability, FirewalledPeerBehindNatAnnouncesAndIsFound) {
  Private net(10);
  OddRuntime runtime(net.world.add_host("8.3.0.1"), OddRuntime::Nat::kCone);
  const auto user = net.user(runtime);
  SeededRng rng(1);
  const KeyPair keys = crypto::random_key_pair(rng);
  std::optional<Expected<QueryResult>> done;
  auto query =
      announce(*user, hash_target(keys.public_key), keys, {}, {}, {}, [&](Expected<QueryResult> r) { done.emplace(std::move(r)); });
  ASSERT_TRUE(net.world.run_until([&] { return done.has_value(); }, 60s));
  ASSERT_TRUE(done->ok());
  const auto route = net.nodes[0]->find_route(hash_target(keys.public_key));
  ASSERT_TRUE(route);
  EXPECT_EQ(route->relay.host(), "8.3.0.1");
}

TEST(NodePersistence, AdaptiveNodeBecomesPersistentAfterTwentyMinutes) {
  Private net(10);
  Node& user = net.add_user();
  Events events;
  user.add_listener(&events);
  ASSERT_TRUE(net.settle());
  net.world.run_for(19min);
  EXPECT_TRUE(user.ephemeral());
  net.world.run_for(3min);
  EXPECT_FALSE(user.ephemeral());
  EXPECT_EQ(events.log, "ready persistent ");
  EXPECT_EQ(user.id(), node_id(*user.remote_address()));
  net.world.run_for(6min);
  size_t known = 0;
  for (size_t i = 0; i + 1 < net.nodes.size(); ++i)
    for (const Endpoint& at : net.nodes[i]->recent_nodes(100)) known += at == *user.remote_address();
  EXPECT_GE(known, 5u) << "others have it in their tables now";
}

TEST(NodePersistence, ForcedEphemeralStaysSo) {
  Private net(6);
  NodeOptions options = DhtNetwork::user_options();
  options.ephemeral = NodeOptions::Ephemeral::kAlways;
  Node& user = net.add(net.next_address(), options);
  net.world.run_for(60min);
  EXPECT_TRUE(user.ephemeral());
  for (size_t i = 0; i + 1 < net.nodes.size(); ++i)
    for (const Endpoint& at : net.nodes[i]->recent_nodes(100)) EXPECT_NE(at.address, net.hosts.back()->address());
}

TEST(NodeOutage, AllBootstrapsDownThenUp) {
  DhtNetwork net(5);
  net.add_persistent(5);
  ASSERT_TRUE(net.settle());
  for (auto* host : net.hosts) host->set_up(false);
  Node& user = net.add_user();
  Events events;
  user.add_listener(&events);
  ASSERT_TRUE(net.world.run_until([&] { return user.ready(); }, 60s));
  EXPECT_EQ(user.health(), Health::kOffline);
  EXPECT_TRUE(user.bootstrap_unreachable());
  net.world.run_for(10min);
  EXPECT_EQ(user.table_size(), 0u);
  EXPECT_LE(user.counters().requests_sent, 120u) << "backs off";
  for (auto* host : net.hosts) host->set_up(true);
  ASSERT_TRUE(net.world.run_until([&] { return user.health() == Health::kOnline; }, 45s));
  EXPECT_GE(user.table_size(), 1u);
  EXPECT_EQ(events.log, "offline ready online ");
}

TEST(NodeOutage, TableSurvivesTheBootstrapNode) {
  Private net(12);
  Node& user = net.add_user();
  ASSERT_TRUE(net.settle());
  net.kill(0);
  net.world.run_for(10min);
  EXPECT_GE(user.table_size(), 10u);
  SeededRng rng(1);
  std::optional<Expected<QueryResult>> done;
  const auto query =
      announce(user, Topic{1}, crypto::random_key_pair(rng), {}, {}, {}, [&](Expected<QueryResult> r) { done.emplace(std::move(r)); });
  ASSERT_TRUE(net.world.run_until([&] { return done.has_value(); }, 60s));
  EXPECT_TRUE(done->ok());
}

TEST(NodeOutage, LongOutageEmptiesTheTableAndOldNodesBringItBack) {
  Private net(12);
  Node& user = net.add_user();
  ASSERT_TRUE(net.settle());
  Events events;
  user.add_listener(&events);
  net.hosts.back()->set_up(false);
  net.world.run_for(30min);
  EXPECT_EQ(user.table_size(), 0u);
  EXPECT_EQ(user.health(), Health::kOffline);
  net.kill(0);  // the only bootstrap node is gone for good
  net.hosts.back()->set_up(true);
  ASSERT_TRUE(net.world.run_until([&] { return user.health() == Health::kOnline; }, 60s)) << events.log;
  net.world.run_for(30s);
  EXPECT_GE(user.table_size(), 10u);
}

// A request for a dead peer runs out of time at the living node that passes it on.
TEST(NodeOutage, ADeadPeerTakesNoLivingNodeOutOfTheTable) {
  Private net(1);
  Node& user = net.add_user();
  ASSERT_TRUE(net.settle());
  ASSERT_EQ(user.table_size(), 2u);
  for (const auto& node : net.nodes) node->set_command_handler(wire::kPeerHandshake, [](IncomingRequest&) {});
  std::vector<RequestHandle> requests;
  size_t unanswered = 0;
  const auto ask_all = [&] {
    const size_t before = unanswered;
    for (const Endpoint& at : user.recent_nodes(2))
      requests.push_back(
          user.request(at, {.command = wire::kPeerHandshake, .target = Hash32{1}}, [&](Expected<Response> r) { unanswered += !r; }));
    EXPECT_TRUE(net.world.run_until([&] { return unanswered == before + 2; }, 20s));
  };
  ask_all();
  for (int i = 0; i < 100; ++i) {
    net.world.run_for(100ms);
    EXPECT_EQ(user.table_size(), 2u);
  }
  // A node that is dead indeed does not stay for that.
  net.kill(1);
  ask_all();
  EXPECT_TRUE(net.world.run_until([&] { return user.table_size() == 1; }, 10s));
}

TEST(NodeOutage, QueriesSettleWhileOffline) {
  Private net(8);
  Node& user = net.add_user();
  ASSERT_TRUE(net.settle());
  net.hosts.back()->set_up(false);
  std::optional<Expected<QueryResult>> looked;
  std::optional<Expected<QueryResult>> announced;
  SeededRng rng(1);
  const auto a = lookup(user, Topic{1}, {}, {}, [&](Expected<QueryResult> r) { looked.emplace(std::move(r)); });
  const auto b =
      announce(user, Topic{1}, crypto::random_key_pair(rng), {}, {}, {}, [&](Expected<QueryResult> r) { announced.emplace(std::move(r)); });
  ASSERT_TRUE(net.world.run_until([&] { return looked && announced; }, 60s));
  EXPECT_EQ((*looked)->replies, 0u);
  EXPECT_EQ(announced->error().code, "TOO_FEW_NODES");
}

TEST(NodeSleep, WakeUpIsNoticed) {
  Private net(8);
  OddRuntime runtime(net.world.add_host("8.3.0.9"));
  const auto user = net.user(runtime);
  Events events;
  user->add_listener(&events);
  net.world.run_for(25min);
  EXPECT_FALSE(user->ephemeral());
  runtime.wall_offset_ms += 3600'000;
  const uint64_t before = user->counters().requests_sent;
  net.world.run_for(21s);
  EXPECT_EQ(events.log, "persistent ephemeral wakeup ");
  EXPECT_GT(user->counters().requests_sent, before + 5) << "pings and a refresh at once";
}

TEST(NodeMove, InterfacesInWhateverOrderAreTheSame) {
  Private net(8);
  OddRuntime runtime(net.world.add_host("8.3.0.9"));
  runtime.interfaces = {0xc0a80105, 0xac110001};  // eth0 192.168.1.5, docker0 172.17.0.1, as the kernel lists them
  Node user(runtime, DhtNetwork::user_options());
  Events events;
  user.add_listener(&events);
  ASSERT_TRUE(user.start());
  net.world.run_for(1min);
  std::swap(runtime.interfaces[0], runtime.interfaces[1]);
  net.world.run_for(1min);
  EXPECT_EQ(events.log, "ready ");
  runtime.interfaces.pop_back();
  net.world.run_for(10s);
  EXPECT_EQ(events.log, "ready change ");
}

TEST(NodeMove, NewAddressIsLearntAndThePersistentNodeMoves) {
  Private net(10);
  NodeOptions options = DhtNetwork::persistent_options();
  Node& mover = net.add(net.next_address(), options);
  ASSERT_TRUE(net.settle());
  ASSERT_FALSE(mover.ephemeral());
  const Hash32 old_id = *mover.id();
  Events events;
  mover.add_listener(&events);
  net.hosts.back()->set_address(*parse_ipv4("8.7.7.7"));
  net.world.run_for(2min);
  EXPECT_TRUE(events.log.starts_with("change ephemeral persistent ")) << events.log;
  ASSERT_TRUE(mover.remote_address());
  EXPECT_EQ(mover.remote_address()->host(), "8.7.7.7");
  ASSERT_TRUE(mover.id());
  EXPECT_NE(*mover.id(), old_id);
  EXPECT_EQ(*mover.id(), node_id(*mover.remote_address()));
}

TEST(NodeMove, NewAddressIsLearntFromNodesThatShareAHost) {
  DhtNetwork net(3);
  std::vector<std::unique_ptr<Node>> neighbours;
  for (int i = 0; i < 4; ++i) {
    neighbours.push_back(std::make_unique<Node>(*net.hosts[0], DhtNetwork::persistent_options()));
    ASSERT_TRUE(neighbours.back()->start());
    net.world.run_for(1s);
  }
  Node& mover = net.add_user();
  ASSERT_TRUE(net.settle());
  net.world.run_for(1min);
  ASSERT_GE(mover.table_size(), 4u);
  net.hosts.back()->set_address(*parse_ipv4("8.7.7.7"));
  net.world.run_for(2min);
  ASSERT_TRUE(mover.external_address());
  EXPECT_EQ(mover.external_address()->host(), "8.7.7.7");
}

TEST(NodeMove, AnOpenNodeIsOpenAtItsNewAddress) {
  DhtNetwork net;
  net.add_persistent(10);
  Node& node = net.add_user();
  ASSERT_TRUE(net.settle());
  net.world.run_for(2min);
  ASSERT_TRUE(node.remote_address());
  net.hosts.back()->set_address(*parse_ipv4("8.7.7.7"));
  net.world.run_for(2min);
  EXPECT_EQ(node.remote_address(), (Endpoint{net.hosts.back()->address(), 49737}));
}

TEST(NodeStart, PortsFallThroughAndFailWhenExact) {
  sim::World world;
  sim::Host& host = world.add_host("8.0.0.1");
  crypto::init();
  NodeOptions options;
  options.bootstrap = {};
  std::vector<std::unique_ptr<Node>> nodes;
  std::set<uint16_t> ports;
  for (int i = 0; i < 7; ++i) {
    nodes.push_back(std::make_unique<Node>(host, options));
    ASSERT_TRUE(nodes.back()->start());
    ports.insert(nodes.back()->server_port());
  }
  EXPECT_EQ(ports.size(), 7u);
  EXPECT_EQ(nodes[4]->server_port(), 49741);
  EXPECT_FALSE(nodes[5]->server_port() == 49742);
  options.any_port = false;
  Node exact(host, options);
  EXPECT_EQ(exact.start().error().code, "EADDRINUSE");
}

TEST(NodeStart, ReadyCallbacksAndListenersMayLeave) {
  DhtNetwork net(5);
  Node& user = net.add_user();
  struct Leaver : NodeListener {
    explicit Leaver(Node& n) : node(n) {}
    void on_ready() override {
      ++calls;
      node.remove_listener(this);
    }
    Node& node;
    int calls = 0;
  } leaver(user);
  user.add_listener(&leaver);
  int ready = 0;
  user.on_ready([&] { ++ready; });
  ASSERT_TRUE(net.settle());
  user.on_ready([&] { ++ready; });
  net.world.run_for(1ms);
  EXPECT_EQ(ready, 2);
  EXPECT_EQ(leaver.calls, 1);
}

}  // namespace
}  // namespace hg::dht
