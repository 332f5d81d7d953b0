// Peers that connect over a private network of our own nodes, in virtual time.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "noise/handshake.h"
#include "peer/connector.h"
#include "peer/puncher.h"
#include "support/listening_peers.h"
#include "wire/udx_packet.h"

namespace hg::peer {
namespace {

using sim::Collector;
using sim::NatKind;
using sim::Peer;
using sim::PeerNetwork;

TEST_F(Peers, OpenToOpen) {
  Peer& a = net_.add_open();
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  EXPECT_EQ(server_->relay_addresses().size(), 3u);
  auto c = connect(b, key(1).public_key);
  ASSERT_TRUE(c) << c.error().code << ": " << c.error().message;
  EXPECT_LT(took_, 2s);
  EXPECT_EQ((*c)->remote_key(), key(1).public_key);
  EXPECT_EQ((*c)->local_key(), key(99).public_key);
  EXPECT_TRUE((*c)->is_initiator());
  expect_echo(std::move(*c));
  ASSERT_EQ(served_.size(), 1u);
}

TEST_F(Peers, ReceiveWindowsAreSmallUntilTheOtherSideIsProven) {
  Peer& a = net_.add_open();
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  net_.world.set_one_way(net_.host_of(a), net_.host_of(b), {.delay = 200ms});  // each speaks before it hears of the other
  std::map<uint32_t, std::vector<uint32_t>> windows;                           // by sender's address
  net_.world.tap = [&](const Endpoint& from, ByteView data) {
    if (const auto packet = wire::decode_udx_packet(data)) windows[from.address].push_back(packet->header.window);
  };
  auto c = connect(b, key(1).public_key);
  ASSERT_TRUE(c) << c.error().code;
  expect_echo(std::move(*c), 1 << 20);
  net_.world.tap = {};
  ASSERT_EQ(windows.size(), 2u);
  for (const auto& [address, seen] : windows) {
    EXPECT_EQ(seen.front(), noise::SecureConnection::kUnprovenWindow);
    EXPECT_EQ(*std::max_element(seen.begin(), seen.end()), udx::StreamOptions{}.receive_window);
    EXPECT_LE(std::count_if(seen.begin(), seen.end(), [](uint32_t w) { return w <= noise::SecureConnection::kUnprovenWindow; }), 3);
  }
}

TEST_F(Peers, EveryKindOfNatThatCanWork) {
  struct Case {
    std::optional<NatKind> server;
    std::optional<NatKind> client;
    Duration limit;
    uint64_t consistent_punches;  // by the client; none where the server's first probe gets through at once
    uint64_t random_punches;
  };
  const auto add = [this](std::optional<NatKind> kind) -> Peer& { return kind ? net_.add_behind_nat(*kind) : net_.add_open(); };
  uint8_t n = 10;
  for (const Case& c :
       {Case{NatKind::kConsistent, {}, 5s, 0, 0}, Case{{}, NatKind::kConsistent, 5s, 0, 0}, Case{NatKind::kRandom, {}, 5s, 0, 0},
        Case{{}, NatKind::kRandom, 5s, 0, 0}, Case{NatKind::kConsistent, NatKind::kConsistent, 3s, 0, 0},
        Case{NatKind::kConsistent, NatKind::kRandom, 45s, 0, 1}, Case{NatKind::kRandom, NatKind::kConsistent, 45s, 0, 1}}) {
    const std::string label = std::string("server ") +
                              (!c.server                       ? "open"
                               : *c.server == NatKind::kRandom ? "random"
                                                               : "consistent") +
                              ", client " +
                              (!c.client                       ? "open"
                               : *c.client == NatKind::kRandom ? "random"
                                                               : "consistent");
    SCOPED_TRACE(label);
    Peer& server = add(c.server);
    Peer& client = add(c.client);
    ASSERT_TRUE(net_.settle());
    net_.world.run_for(40s);  // the pause between random punches
    server_.reset();
    served_.clear();
    listen(server, key(++n));
    auto made = connect(client, key(n).public_key);
    ASSERT_TRUE(made) << made.error().code << ": " << made.error().message;
    EXPECT_LT(took_, c.limit);
    EXPECT_EQ(client.host->counters().punches_consistent, c.consistent_punches);
    EXPECT_EQ(client.host->counters().punches_random, c.random_punches);
    expect_echo(std::move(*made));
    EXPECT_EQ(served_.size(), 1u);
  }
}

TEST_F(Peers, AHopelessNatIsLookedAtOnFreshSockets) {
  Peer& server = net_.add(NatKind::kRandom);
  Peer& client = net_.add(NatKind::kRandom);
  ASSERT_TRUE(net_.settle());
  listen(server, key(1));
  const size_t before = net_.nats.back()->counters.made;
  const auto made = connect(client, key(1).public_key);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS");
  EXPECT_EQ(net_.nats.back()->counters.made - before, 4u) << "one, and three more (hyperdht 6.34)";
}

TEST_F(Peers, AnAttemptThatIsGivenUpCallsThePunchOff) {
  Peer& server = net_.add(NatKind::kConsistent);
  Peer& client = net_.add(NatKind::kRandom);
  sim::NatCounters& probes = net_.nats.back()->counters;
  Peer& next = net_.add(NatKind::kRandom);
  ASSERT_TRUE(net_.settle());
  listen(server, key(1));
  probes.probes_to_lose = 10000;
  auto attempt = client.host->connect(key(1).public_key, {key(98), {}}, [](auto) {});
  ASSERT_TRUE(net_.world.run_until([&] { return server.host->counters().punches_random == 1; }, 10s));
  net_.world.run_for(500ms);
  attempt.reset();
  net_.world.run_for(1s);  // the pause after a punch that found nothing is as long as that took
  probes.probes_to_lose = 0;
  auto made = connect(next, key(1).public_key, 20s);
  EXPECT_TRUE(made) << made.error().code << ": " << made.error().message;
}

TEST_F(Peers, ARandomPunchWaitsForOneThatIsRunning) {
  Peer& client = net_.add(NatKind::kRandom);
  Peer& first = net_.add(NatKind::kConsistent);
  Peer& second = net_.add(NatKind::kConsistent);
  ASSERT_TRUE(net_.settle());
  listen(first, key(1));
  const auto server_of_first = std::move(server_);
  listen(second, key(2));
  auto running = client.host->connect(key(1).public_key, {key(98), {}}, [](auto) {});
  ASSERT_TRUE(net_.world.run_until([&] { return client.host->counters().punches_random == 1; }, 10s));
  std::optional<bool> connected;
  const auto waiting = client.host->connect(key(2).public_key, {key(98), {}}, [&](auto made) { connected = made.ok(); });
  net_.world.run_for(500ms);
  ASSERT_FALSE(connected);
  running.reset();
  ASSERT_TRUE(net_.world.run_until([&] { return connected.has_value(); }, 60s));
  EXPECT_TRUE(*connected);
}

TEST_F(Peers, PunchesInEarnestWhenTheFirstProbeIsLost) {
  Peer& server = net_.add_behind_nat(NatKind::kConsistent);
  Peer& client = net_.add_behind_nat(NatKind::kConsistent);
  ASSERT_TRUE(net_.settle());
  listen(server, key(1));
  net_.nats.back()->counters.probes_to_lose = 2;
  auto made = connect(client, key(1).public_key);
  ASSERT_TRUE(made) << made.error().code << ": " << made.error().message;
  EXPECT_LT(took_, 6s);
  EXPECT_EQ(client.host->counters().punches_consistent, 1u);
  EXPECT_EQ(server.host->counters().punches_consistent, 1u);
  expect_echo(std::move(*made));
}

TEST_F(Peers, TwoRandomNatsAreHopelessAndSaidSo) {
  Peer& server = net_.add_behind_nat(NatKind::kRandom);
  Peer& client = net_.add_behind_nat(NatKind::kRandom);
  ASSERT_TRUE(net_.settle());
  listen(server, key(1));
  const auto made = connect(client, key(1).public_key);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS");
  EXPECT_LT(took_, 20s);
}

TEST_F(Peers, PunchSocketsAreGivenBack) {
  Peer& server = net_.add_behind_nat(NatKind::kConsistent);
  Peer& client = net_.add_behind_nat(NatKind::kRandom);
  ASSERT_TRUE(net_.settle());
  listen(server, key(1));
  auto made = connect(client, key(1).public_key);
  ASSERT_TRUE(made) << made.error().code;
  EXPECT_GT(net_.nats.back()->counters.made, 200u);
  made->reset();
  net_.world.run_for(30s);
  EXPECT_EQ(net_.nats.back()->counters.open, 2u) << "the node's own two";
  EXPECT_EQ(net_.nats.front()->counters.open, 2u);
}

TEST_F(Peers, AClientThatDoesNotComeCostsASocketForTenSeconds) {
  Peer& server = net_.add_behind_nat(NatKind::kConsistent);
  Peer& client = net_.add_behind_nat(NatKind::kConsistent);
  ASSERT_TRUE(net_.settle());
  listen(server, key(1));
  auto attempt = client.host->connect(key(1).public_key, {key(99), {}}, [](auto) {});
  ASSERT_TRUE(net_.world.run_until([&] { return server.host->counters().handshakes_received > 0; }, 5s));
  attempt.reset();
  EXPECT_EQ(net_.nats.front()->counters.open, 3u);
  net_.world.run_for(11s);
  EXPECT_EQ(net_.nats.front()->counters.open, 2u) << "the node's own two";
}

TEST_F(Peers, AKeyNobodyListensOnIsNotFound) {
  Peer& a = net_.add_open();
  ASSERT_TRUE(net_.settle());
  const auto made = connect(a, key(7).public_key);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, "PEER_NOT_FOUND");
}

TEST_F(Peers, AKeyThatIsNoPointFails) {
  Peer& a = net_.add_open();
  ASSERT_TRUE(net_.settle());
  const auto made = connect(a, PublicKey{});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, "HANDSHAKE_INVALID");
}

TEST_F(Peers, TheFirewallRefusesInSilence) {
  Peer& a = net_.add_open();
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  int asked = 0;
  listen(a, key(1), [&](const PublicKey& remote, const wire::NoisePayload& payload, const Endpoint&) {
    EXPECT_EQ(remote, key(99).public_key);
    EXPECT_TRUE(payload.udx);
    asked++;
    return true;
  });
  const auto made = connect(b, key(1).public_key);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, "PEER_CONNECTION_FAILED");
  EXPECT_EQ(asked, 1) << "copies through other relays and retries are recognised";
  EXPECT_TRUE(served_.empty());
}

TEST_F(Peers, AClosedServerIsNoLongerFound) {
  Peer& a = net_.add_open();
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  bool closed = false;
  server_->close([&] { closed = true; });
  ASSERT_TRUE(net_.world.run_until([&] { return closed; }, 5s));
  const auto made = connect(b, key(1).public_key);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, "PEER_NOT_FOUND");
}

TEST_F(Peers, OneKeyOneServerPerHost) {
  Peer& a = net_.add_open();
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  const auto second = a.host->listen(key(1), {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "KEYPAIR_ALREADY_USED");
  server_.reset();
  EXPECT_TRUE(a.host->listen(key(1), {}));
}

TEST_F(Peers, DestroyingTheAttemptCancelsIt) {
  Peer& a = net_.add_open();
  Peer& b = net_.add_behind_nat(NatKind::kConsistent);
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  for (Duration wait = 0ms; wait < 400ms; wait += 10ms) {
    auto attempt = b.host->connect(key(1).public_key, {key(50), {}}, [](auto) {});
    net_.world.run_for(wait);
    attempt.reset();
  }
  net_.world.run_for(60s);
  EXPECT_EQ(b.mux.stream_count(), 0u);
  server_.reset();
  served_.clear();
  net_.world.run_for(30s);
  EXPECT_EQ(a.mux.stream_count(), 0u) << "what the other side began is cleaned up";
}

TEST_F(Peers, RelayAddressesOfALookupShortenTheWay) {
  Peer& a = net_.add_open();
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  auto made = connect(b, key(1).public_key, 30s, server_->relay_addresses());
  ASSERT_TRUE(made);
  EXPECT_LT(took_, 500ms);
}

TEST_F(Peers, WrongRelayAddressesDoNotPreventIt) {
  Peer& a = net_.add_open();
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  auto made = connect(b, key(1).public_key, 30s, {{0x01010101, 1}, {0x08010001, 9}, {0, 0}});
  ASSERT_TRUE(made) << made.error().code;
}

TEST_F(Peers, AServerThatVanishesIsNoticedByItsClients) {
  Peer& a = net_.add_open();
  const size_t host = net_.hosts.size() - 1;
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  auto made = connect(b, key(1).public_key);
  ASSERT_TRUE(made);
  Collector client(std::move(*made));
  net_.world.run_for(60s);
  EXPECT_FALSE(client.closed);
  net_.hosts[host]->set_up(false);
  const TimePoint gone = net_.world.now();
  ASSERT_TRUE(net_.world.run_until([&] { return client.closed; }, 30s));
  EXPECT_LT(net_.world.now() - gone, 10s);
  EXPECT_EQ(client.error->code, "ETIMEDOUT");
}

TEST_F(Peers, ReannouncesWhenItsRelaysDie) {
  Peer& a = net_.add_open();
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  const auto relays = [&] {
    auto addresses = server_->relay_addresses();
    std::erase(addresses, a.node.server_socket().local_endpoint());  // our own comes first
    return std::set<Endpoint>(addresses.begin(), addresses.end());
  };
  const auto before = relays();
  ASSERT_GE(before.size(), 2u);
  for (size_t i = 0; i < 12; ++i)
    if (before.contains(net_.peers[i]->node.server_socket().local_endpoint())) net_.hosts[i]->set_up(false);
  const auto replaced = [&] {
    const auto now = relays();
    return now.size() >= 2 && std::none_of(now.begin(), now.end(), [&](const Endpoint& e) { return before.contains(e); });
  };
  ASSERT_TRUE(net_.world.run_until(replaced, 30s));
  auto made = connect(b, key(1).public_key);
  ASSERT_TRUE(made) << made.error().code;
}

/// Answers one handshake when it is told to; its stream sends before.
class LateServer {
 public:
  explicit LateServer(Peer& peer) : peer_(peer), raw_(peer.mux.create_stream()) {
    peer_.node.set_command_handler(wire::kPeerHandshake, [this](dht::IncomingRequest& request) {
      if (!request_) request_ = request;
    });
  }
  bool asked() const { return request_.has_value(); }
  /// Takes the handshake and sends its first packet to `client`.
  void send_first(const KeyPair& keys, const Endpoint& client) {
    auto handshake = noise::IkHandshake::responder(keys, noise::dht_namespace(wire::kPeerHandshake), peer_.runtime.rng());
    const auto plain = handshake.read_message(wire::decode_handshake(*request_->value)->noise);
    wire::NoisePayload payload;
    payload.udx = wire::UdxInfo{.id = raw_->id()};
    payload.secret_stream = wire::SecretStreamInfo{};
    reply_ = *handshake.write_message(wire::encode(payload));
    raw_->connect(peer_.node.socket(), client, static_cast<uint32_t>(wire::decode_noise_payload(*plain)->udx->id));
    connection_ = std::make_unique<noise::SecureConnection>(peer_.runtime, std::move(raw_), *handshake.session());
  }
  void answer() { request_->reply(wire::encode(wire::Handshake{wire::kReply, reply_, {}, {}})); }

 private:
  Peer& peer_;
  std::unique_ptr<udx::Stream> raw_;
  std::optional<dht::IncomingRequest> request_;
  Bytes reply_;
  std::unique_ptr<noise::SecureConnection> connection_;
};

TEST_F(Peers, TheSocketOfAnEarlyPacketStays) {
  Peer& a = net_.add_open();
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  LateServer server(a);
  Context context(b.runtime, b.node, b.mux);
  std::optional<Expected<std::unique_ptr<noise::SecureConnection>>> made;
  const Connector connector(context, key(1).public_key, {key(99), {a.node.socket().local_endpoint()}},
                            [&](auto result) { made.emplace(std::move(result)); });
  ASSERT_TRUE(net_.world.run_until([&] { return server.asked(); }, 5s));

  auto of_another_attempt = context.punch_sockets.open();
  const std::weak_ptr<PunchSocket> watched = of_another_attempt;
  server.send_first(key(1), of_another_attempt->socket().local_endpoint());
  net_.world.run_for(50ms);
  of_another_attempt.reset();
  net_.world.run_for(50ms);
  ASSERT_FALSE(watched.expired()) << "the path runs over it as soon as the reply is there";
  server.answer();
  ASSERT_TRUE(net_.world.run_until([&] { return made.has_value(); }, 5s));
  ASSERT_TRUE(*made) << made->error().code;
  EXPECT_EQ((**made)->path().socket, &watched.lock()->socket());
  made->value().reset();
  EXPECT_TRUE(watched.expired());
}

TEST_F(Peers, AddressesOfNobodyAreNotPunchedWhoeverNamesThem) {
  Peer& a = net_.add_open();
  const sim::Host& host = *net_.hosts.back();
  const sim::Host& somebody = net_.world.add_host("5.6.7.8");
  std::vector<const sim::Host*> nobody;
  for (const char* address : {"0.0.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255"}) nobody.push_back(&net_.world.add_host(address));
  ASSERT_TRUE(net_.settle());
  Context context(a.runtime, a.node, a.mux);
  Puncher puncher(context, true, wire::kFirewallConsistent, {});
  bool analysed = false;
  puncher.analyze(false, [&](bool) { analysed = true; });
  ASSERT_TRUE(net_.world.run_until([&] { return analysed; }, 10s));
  wire::HolepunchPayload payload;
  payload.firewall = wire::kFirewallConsistent;
  payload.punching = true;
  payload.addresses.emplace();
  for (const sim::Host* target : nobody) payload.addresses->push_back({target->address(), 1000});
  payload.addresses->push_back({somebody.address(), 1000});
  puncher.update_remote(payload, std::nullopt);
  ASSERT_TRUE(puncher.punch());
  net_.world.run_for(60s);
  EXPECT_GT(net_.world.counters(host, somebody).sent, 0u);
  for (const sim::Host* target : nobody) EXPECT_EQ(net_.world.counters(host, *target).sent, 0u);
}

TEST_F(Peers, AnAttemptOverASocketThatIsGoneMayBeGivenUp) {
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  Context context(b.runtime, b.node, b.mux);
  auto of_a_session = context.punch_sockets.open();
  ConnectOptions options;
  options.key_pair = key(99);
  options.via = DirectPath{&of_a_session->socket(), {0x09090909, 1234}};  // nobody answers there
  int called = 0;
  auto attempt = std::make_unique<Connector>(context, key(1).public_key, std::move(options), [&](auto) { called++; });
  of_a_session.reset();
  net_.world.run_for(2500ms);  // nothing else is under way by now
  EXPECT_EQ(called, 0);
  attempt.reset();
  net_.world.run_for(1s);
  EXPECT_EQ(called, 0);
}

TEST_F(Peers, ReachableAgainAfterItsAddressChanged) {
  Peer& a = net_.add_open();
  sim::Host& host = *net_.hosts.back();
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  host.set_address(parse_ipv4("9.9.9.9").value());
  net_.world.run_for(30s);
  auto made = connect(b, key(1).public_key);
  ASSERT_TRUE(made) << made.error().code;
  EXPECT_EQ((*made)->stats().remote.address, parse_ipv4("9.9.9.9").value());
}

TEST_F(Peers, SurvivesLossAndReordering) {
  net_.world.set_default_path({.delay = 40ms, .jitter = 20ms, .loss = 0.1, .duplicate = 0.05, .reorder = 0.05});
  Peer& a = net_.add_behind_nat(NatKind::kConsistent);
  Peer& b = net_.add_behind_nat(NatKind::kConsistent);
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  int successes = 0;
  for (int i = 0; i < 5; ++i) {
    auto made = connect(b, key(1).public_key);
    if (!made) continue;
    successes++;
    expect_echo(std::move(*made), 20000);
  }
  EXPECT_GE(successes, 4);
}

}  // namespace
}  // namespace hg::peer
