// Peers that cannot reach each other connect through a third one, in virtual time.
#include "peer/blind_relay.h"

#include <gtest/gtest.h>

#include <set>

#include "peer/blind_relay_channel.h"
#include "sim/peer_network.h"
#include "support/vectors.h"

namespace hg::peer {
namespace {

using sim::Collector;
using sim::NatKind;
using sim::Peer;
using sim::PeerNetwork;

KeyPair key(uint8_t n) { return crypto::key_pair_from_seed(Seed{n}); }
const KeyPair kServer = key(1), kClient = key(2), kRelay = key(3);

/// What a member knows of relays.
struct Source final : RelaySource {
  std::optional<DirectPath> path_to(const PublicKey& relay) override {
    asked++;
    return relay == kRelay.public_key && session ? std::optional(DirectPath{session->path().socket, session->path().remote}) : std::nullopt;
  }

  noise::SecureConnection* session = nullptr;
  int asked = 0;
};

class BlindRelay : public ::testing::Test {
 protected:
  Peer& add(std::optional<NatKind> kind) { return net_.add(kind); }

  void serve_relay(Peer& peer, BlindRelayOptions options = {}) {
    options.key_pair = kRelay;
    if (!options.admit) options.admit = [](const PublicKey&) { return true; };
    auto relay = peer.host->serve_relay(std::move(options));
    ASSERT_TRUE(relay);
    relay_ = std::move(*relay);
    bool listening = false;
    relay_->on_listening([&] { listening = true; });
    ASSERT_TRUE(net_.world.run_until([&] { return listening; }, 30s));
  }
  void listen(Peer& peer, std::optional<PublicKey> offer = {}) {
    ListenOptions options;
    options.on_connection = [this](std::unique_ptr<noise::SecureConnection> c) {
      served_stats_.push_back(c->stats());
      served_.push_back(std::make_unique<Collector>(std::move(c), true));
    };
    if (offer) options.relay_through = [offer](const PublicKey&) { return offer; };
    auto server = peer.host->listen(kServer, std::move(options));
    ASSERT_TRUE(server);
    server_ = std::move(*server);
    bool listening = false;
    server_->on_listening([&] { listening = true; });
    ASSERT_TRUE(net_.world.run_until([&] { return listening; }, 30s));
  }
  struct Trio {
    Peer& relay;
    Peer& server;
    Peer& client;
  };
  /// A relay that everybody reaches, and two behind NATs of one kind, of whom the server listens.
  Trio trio(NatKind sides, std::optional<PublicKey> offer = {}) {
    Trio out{add({}), add(sides), add(sides)};
    EXPECT_TRUE(net_.settle());
    serve_relay(out.relay);
    listen(out.server, offer);
    return out;
  }
  using Result = Expected<std::unique_ptr<noise::SecureConnection>>;
  Result connect(Peer& peer, const PublicKey& to, ConnectOptions options, Duration limit = 90s, const KeyPair& as = kClient) {
    options.key_pair = as;
    std::optional<Result> outcome;
    const TimePoint start = net_.world.now();
    const auto attempt = peer.host->connect(to, std::move(options), [&](auto result) { outcome.emplace(std::move(result)); });
    net_.world.run_until([&] { return outcome.has_value(); }, limit);
    took_ = net_.world.now() - start;
    if (!outcome) return Error{"NO_CALLBACK", ""};
    return std::move(*outcome);
  }
  static ConnectOptions through_relay(Relaying how = Relaying::kFallback) {
    ConnectOptions options;
    options.relaying = how;
    options.relay_through = kRelay.public_key;
    return options;
  }
  void expect_echo(Collector& client, size_t size = 100000) {
    Bytes data(size);
    for (size_t i = 0; i < size; ++i) data[i] = static_cast<uint8_t>(i * 31);
    client.received.clear();
    client.send(data);
    EXPECT_TRUE(net_.world.run_until([&] { return client.received.size() >= size; }, 60s));
    EXPECT_EQ(client.received, data);
  }
  /// What went between the two sides without the relay, UDX or not.
  uint64_t directly(Peer& a, Peer& b) {
    sim::Host& one = net_.host_of(a);
    sim::Host& other = net_.host_of(b);
    return net_.world.counters(one, other).delivered + net_.world.counters(other, one).delivered;
  }
  void block(Peer& a, Peer& b) { net_.block(a, b); }

  PeerNetwork net_;
  Source server_source_, client_source_;
  std::unique_ptr<BlindRelayServer> relay_;
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<Collector>> served_;
  std::vector<noise::ConnectionStats> served_stats_;
  Duration took_{};

  void TearDown() override {
    served_.clear();
    server_.reset();
    relay_.reset();
  }
};

TEST_F(BlindRelay, TwoRandomNatsConnectThroughAnOpenMember) {
  auto [relay, server, client] = trio(NatKind::kRandom);
  auto made = connect(client, kServer.public_key, through_relay());
  ASSERT_TRUE(made) << made.error().code << ": " << made.error().message;
  EXPECT_LT(took_, 2s) << "both know that punching is hopeless";
  EXPECT_TRUE((*made)->stats().relayed);
  EXPECT_EQ((*made)->stats().relay, kRelay.public_key);
  EXPECT_EQ((*made)->remote_key(), kServer.public_key) << "the relay is no party to the connection";
  Collector connection(std::move(*made));
  expect_echo(connection);
  ASSERT_EQ(served_.size(), 1u);
  EXPECT_TRUE(served_stats_[0].relayed);
  EXPECT_EQ(directly(server, client), 0u);
  EXPECT_EQ(relay_->open_pairs(), 1u);
  EXPECT_GT(relay_->counters().traffic.bytes, 200'000u);
  EXPECT_EQ(client.host->counters().relayed, 1u);
  EXPECT_EQ(server.host->counters().relayed, 1u);

  connection.connection->end();
  ASSERT_TRUE(net_.world.run_until([&] { return connection.closed && served_[0]->closed; }, 10s));
  EXPECT_FALSE(connection.error) << connection.error->code;
  ASSERT_TRUE(net_.world.run_until([&] { return relay_->open_pairs() == 0 && relay_->open_sessions() == 0; }, 10s));
  net_.world.run_for(30s);
  EXPECT_EQ(relay.mux.stream_count() + server.mux.stream_count() + client.mux.stream_count(), 0u);
}

TEST_F(BlindRelay, UdpBlockedBetweenTwoPunchablePeers) {
  for (const bool open : {false, true}) {
    SCOPED_TRACE(open ? "open" : "behind NATs");
    Peer& relay = add(NatKind::kConsistent);
    Peer& server = add(open ? std::nullopt : std::optional(NatKind::kConsistent));
    Peer& client = add(open ? std::nullopt : std::optional(NatKind::kConsistent));
    ASSERT_TRUE(net_.settle());
    block(server, client);
    served_.clear();
    server_.reset();
    relay_.reset();
    serve_relay(relay);
    listen(server);
    auto made = connect(client, kServer.public_key, through_relay());
    if (open) {  // an open peer is gone to directly, and the handshake says nothing of a block
      ASSERT_FALSE(made);
      EXPECT_EQ(made.error().code, "ETIMEDOUT");
      made = connect(client, kServer.public_key, through_relay(Relaying::kFirst));
    }
    ASSERT_TRUE(made) << made.error().code << ": " << made.error().message;
    EXPECT_LT(took_, 6s);
    EXPECT_TRUE((*made)->stats().relayed);
    Collector connection(std::move(*made));
    expect_echo(connection);
    EXPECT_EQ(directly(server, client), 0u);
  }
}

TEST_F(BlindRelay, TheOtherSidesPacketsMayComeBeforeTheRelaysWord) {
  auto [relay, server, client] = trio(NatKind::kRandom);
  for (Peer* side : {&client, &server}) {
    net_.world.set_path(net_.host_of(relay), net_.host_of(*side), {.delay = 10ms, .loss = 0.3});
    for (int i = 0; i < 12; ++i) {
      auto made = connect(client, kServer.public_key, through_relay());
      ASSERT_TRUE(made) << made.error().code << ": " << made.error().message;
      ASSERT_TRUE((*made)->relayed());
      Collector connection(std::move(*made));
      expect_echo(connection, 1000);
    }
    net_.world.set_path(net_.host_of(relay), net_.host_of(*side), {.delay = 10ms});
  }
}

TEST_F(BlindRelay, ADirectPathIsPreferred) {
  auto [relay, server, client] = trio(NatKind::kConsistent);
  auto made = connect(client, kServer.public_key, through_relay());
  ASSERT_TRUE(made);
  EXPECT_FALSE((*made)->stats().relayed);
  net_.world.run_for(10s);
  EXPECT_EQ(relay_->counters().sessions, 0u) << "the relay was not troubled";
  Collector connection(std::move(*made));
  expect_echo(connection);
}

TEST_F(BlindRelay, WithoutARelayNothingIsSaidOfOne) {
  auto [relay, server, client] = trio(NatKind::kRandom, kRelay.public_key);
  ConnectOptions options = through_relay(Relaying::kNever);
  const auto made = connect(client, kServer.public_key, std::move(options));
  ASSERT_FALSE(made) << "neither our own relay nor the server's is used";
  EXPECT_EQ(made.error().code, "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS");
}

TEST_F(BlindRelay, TheServersOfferIsTaken) {
  auto [relay, server, client] = trio(NatKind::kRandom, kRelay.public_key);
  auto made = connect(client, kServer.public_key, {});
  ASSERT_TRUE(made) << made.error().code << ": " << made.error().message;
  EXPECT_TRUE((*made)->stats().relayed);
  Collector connection(std::move(*made));
  expect_echo(connection);
}

TEST_F(BlindRelay, SessionsPathsSpareLookupAndPunching) {
  Peer& relay = add(NatKind::kConsistent);
  Peer& server = add(NatKind::kRandom);
  Peer& client = add(NatKind::kRandom);
  ASSERT_TRUE(net_.settle());
  serve_relay(relay);
  listen(server);
  // The members' own connections to the relay, each of which took a random punch.
  std::vector<std::unique_ptr<noise::SecureConnection>> at_relay;
  ListenOptions options;
  options.on_connection = [&](std::unique_ptr<noise::SecureConnection> c) { at_relay.push_back(std::move(c)); };
  auto member = relay.host->listen(key(4), std::move(options));
  bool listening = false;
  (*member)->on_listening([&] { listening = true; });
  ASSERT_TRUE(net_.world.run_until([&] { return listening; }, 30s));
  auto from_client = connect(client, key(4).public_key, {});
  ASSERT_TRUE(from_client) << from_client.error().code;
  net_.world.run_for(40s);
  auto from_server = connect(server, key(4).public_key, {});
  ASSERT_TRUE(from_server) << from_server.error().code;
  client_source_.session = from_client->get();
  server_source_.session = from_server->get();
  client.host->set_relays(&client_source_);
  server.host->set_relays(&server_source_);

  auto made = connect(client, kServer.public_key, through_relay());
  ASSERT_TRUE(made) << made.error().code << ": " << made.error().message;
  EXPECT_LT(took_, 1500ms);
  EXPECT_TRUE((*made)->stats().relayed);
  EXPECT_EQ(client.host->counters().punches_random, 1u) << "no second one";
  Collector connection(std::move(*made));
  expect_echo(connection);
  EXPECT_GT(client_source_.asked, 0);
  connection.connection.reset();
  client.host->set_relays(nullptr);
  server.host->set_relays(nullptr);
}

TEST_F(BlindRelay, OneHostDoesNotTakeEveryPlaceAtAServersRelays) {
  auto [relay, server, client] = trio(NatKind::kRandom);
  Peer& other = add(NatKind::kRandom);
  ASSERT_TRUE(net_.settle());
  std::vector<std::unique_ptr<Attempt>> attempts;
  for (int i = 0; i < 32; ++i) {
    ConnectOptions options = through_relay(Relaying::kFirst);
    options.key_pair = key(4);
    options.relay_through = key(5).public_key;  // whom the server looks for in vain
    attempts.push_back(other.host->connect(kServer.public_key, std::move(options), [](auto) {}));
    net_.world.run_for(50ms);
  }
  auto made = connect(client, kServer.public_key, through_relay());
  ASSERT_TRUE(made) << made.error().code << ": " << made.error().message;
  EXPECT_LT(took_, 3s);
}

TEST_F(BlindRelay, StrangersAreRefused) {
  Peer& relay = add({});
  Peer& server = add(NatKind::kRandom);
  Peer& client = add(NatKind::kRandom);
  ASSERT_TRUE(net_.settle());
  BlindRelayOptions options;
  options.admit = [](const PublicKey&) { return false; };
  serve_relay(relay, std::move(options));
  listen(server);
  const auto made = connect(client, kServer.public_key, through_relay());
  ASSERT_FALSE(made);
  EXPECT_LT(took_, 20s);
  EXPECT_GT(relay_->counters().refused, 0u);
  EXPECT_EQ(relay_->counters().pairs, 0u);
  EXPECT_TRUE(served_.empty());
  net_.world.run_for(60s);
  EXPECT_EQ(relay_->open_sessions(), 0u);
}

TEST_F(BlindRelay, AMemberMayBringAGuest) {
  for (const KeyPair& member : {kServer, kClient}) {
    Peer& relay = add({});
    Peer& server = add(NatKind::kRandom);
    Peer& client = add(NatKind::kRandom);
    ASSERT_TRUE(net_.settle());
    served_.clear();
    server_.reset();
    relay_.reset();
    BlindRelayOptions options;
    options.admit = [&](const PublicKey& who) { return who == member.public_key; };
    serve_relay(relay, std::move(options));
    listen(server);
    auto made = connect(client, kServer.public_key, through_relay());
    ASSERT_TRUE(made) << made.error().code << ": " << made.error().message;
    EXPECT_TRUE((*made)->stats().relayed);
    EXPECT_EQ(relay_->counters().refused, 0u);
  }
}

TEST_F(BlindRelay, ARelayThatDiesIsNoticedAtOnce) {
  auto [relay, server, client] = trio(NatKind::kRandom);
  auto made = connect(client, kServer.public_key, through_relay());
  ASSERT_TRUE(made);
  Collector connection(std::move(*made));
  bool closed = false;
  relay_->close([&] { closed = true; });
  ASSERT_TRUE(net_.world.run_until([&] { return connection.closed && served_[0]->closed; }, 2s));
  EXPECT_EQ(connection.error->code, "RELAY_LOST");
  ASSERT_TRUE(net_.world.run_until([&] { return closed; }, 10s));
}

TEST_F(BlindRelay, AConnectionThatCanMoveLooksForAnotherPathWhenItsRelayDies) {
  auto [relay, server, client] = trio(NatKind::kRandom);
  auto made = connect(client, kServer.public_key, through_relay());
  ASSERT_TRUE(made);
  noise::SecureConnection& secure = **made;
  Collector connection(std::move(*made));
  secure.allow_moves();
  relay_->close([] {});
  ASSERT_TRUE(net_.world.run_until([&] { return !secure.answering(); }, 2s)) << "noticed at once";
  net_.world.run_for(4s);
  EXPECT_FALSE(connection.closed);
}

TEST_F(BlindRelay, DestroyingAnAttemptEndsItsPair) {
  auto [relay, server, client] = trio(NatKind::kRandom);
  for (Duration wait = 0ms; wait < 1200ms; wait += 50ms) {
    ConnectOptions options = through_relay();
    options.key_pair = kClient;
    auto attempt = client.host->connect(kServer.public_key, std::move(options), [](auto) {});
    net_.world.run_for(wait);
    attempt.reset();
    served_.clear();
  }
  net_.world.run_for(90s);
  served_.clear();
  net_.world.run_for(30s);
  EXPECT_EQ(relay_->open_sessions(), 0u);
  EXPECT_EQ(relay_->open_pairs(), 0u);
  server_.reset();
  net_.world.run_for(30s);
  EXPECT_EQ(relay.mux.stream_count() + server.mux.stream_count() + client.mux.stream_count(), 0u);
}

TEST_F(BlindRelay, ThePairsRateHolds) {
  Peer& relay = add({});
  Peer& server = add(NatKind::kRandom);
  Peer& client = add(NatKind::kRandom);
  ASSERT_TRUE(net_.settle());
  BlindRelayOptions options;
  options.pair_rate = 125'000;  // 1 Mbit/s
  serve_relay(relay, std::move(options));
  listen(server);
  auto made = connect(client, kServer.public_key, through_relay());
  ASSERT_TRUE(made);
  Collector connection(std::move(*made));
  connection.send(Bytes(5'000'000));
  const uint64_t before = relay_->counters().traffic.bytes;
  net_.world.run_for(20s);
  const uint64_t carried = relay_->counters().traffic.bytes - before;
  EXPECT_LE(carried, 125'000u * 20 + 20'000);
  EXPECT_GE(carried, 125'000u * 20 * 8 / 10);
}

TEST_F(BlindRelay, SoManyPairsAndNoMore) {
  Peer& relay = add({});
  Peer& server = add(NatKind::kRandom);
  Peer& client = add(NatKind::kRandom);
  ASSERT_TRUE(net_.settle());
  BlindRelayOptions options;
  options.max_pairs = 1;
  serve_relay(relay, std::move(options));
  listen(server);
  auto first = connect(client, kServer.public_key, through_relay());
  ASSERT_TRUE(first);
  EXPECT_FALSE(connect(client, kServer.public_key, through_relay()));
  EXPECT_GT(relay_->counters().refused, 0u);
  EXPECT_EQ(relay_->open_pairs(), 1u);
  Collector connection(std::move(*first));
  expect_echo(connection);
}

/// A relay that the server is a member of, and others as they are added.
class RelayedGuests : public BlindRelay {
 protected:
  void serve(BlindRelayOptions options) {
    Peer& relay = add({});
    server_peer_ = &add(NatKind::kRandom);
    client_peer_ = &add(NatKind::kRandom);
    ASSERT_TRUE(net_.settle());
    options.admit = [this](const PublicKey& who) { return members_.contains(who); };
    serve_relay(relay, std::move(options));
    listen(*server_peer_);
  }
  Result connect_as(const KeyPair& who) { return connect(*client_peer_, kServer.public_key, through_relay(), 20s, who); }
  uint64_t carried_in(Duration span) {
    const uint64_t before = relay_->counters().traffic.bytes;
    net_.world.run_for(span);
    return relay_->counters().traffic.bytes - before;
  }

  std::set<PublicKey> members_{kServer.public_key};
  Peer* server_peer_ = nullptr;
  Peer* client_peer_ = nullptr;
};

TEST_F(RelayedGuests, HaveAQuarterOfThePairs) {
  BlindRelayOptions options;
  options.max_pairs = 8;
  serve(std::move(options));
  members_.insert(key(5).public_key);
  const auto first = connect_as(kClient);
  ASSERT_TRUE(first) << first.error().code;
  const auto second = connect_as(key(4));
  ASSERT_TRUE(second) << second.error().code;
  EXPECT_FALSE(connect_as(key(6)));
  EXPECT_EQ(relay_->open_pairs(), 2u);
  const auto of_member = connect_as(key(5));
  EXPECT_TRUE(of_member) << of_member.error().code;
  members_.insert(kClient.public_key);
  net_.world.run_for(2s);
  const auto third = connect_as(key(6));
  EXPECT_TRUE(third) << "the first is no guest any more: " << third.error().code;
}

TEST_F(RelayedGuests, HaveAQuarterOfTheBandwidth) {
  BlindRelayOptions options;
  options.total_rate = 400'000;
  options.pair_rate = 300'000;
  serve(std::move(options));
  auto one = connect_as(kClient);
  auto other = connect_as(key(4));
  ASSERT_TRUE(one && other);
  Collector first(std::move(*one));
  Collector second(std::move(*other));
  for (int i = 0; i < 1000; ++i)
    for (Collector* each : {&first, &second}) each->send(Bytes(10'000));
  const uint64_t of_guests = carried_in(20s);
  EXPECT_LE(of_guests, 100'000u * 21);
  EXPECT_GE(of_guests, 100'000u * 20 * 8 / 10);
  for (const auto& end : served_) EXPECT_GE(end->received.size(), 25'000u * 20 * 7 / 10) << "a half, both ways, is each one's";
  members_.insert(kClient.public_key);
  net_.world.run_for(2s);
  const uint64_t with_member = carried_in(20s);
  EXPECT_LE(with_member, 400'000u * 20 + 20'000);
  EXPECT_GE(with_member, 350'000u * 20 * 8 / 10);
}

/// A client that speaks to the relay frame by frame.
class BareClient final : public ByteStreamHandler {
 public:
  explicit BareClient(std::unique_ptr<noise::SecureConnection> connection) : connection_(std::move(connection)) {
    connection_->set_handler(this);
  }
  void send(const Bytes& frame) { connection_->write(Buffer::copy_of(frame)); }
  void on_data(ByteView data) override { frames.push_back(to_hex(data)); }
  void on_close(const std::optional<Error>&) override { closed = true; }

  std::vector<std::string> frames;
  bool closed = false;

 private:
  std::unique_ptr<noise::SecureConnection> connection_;
};

TEST_F(BlindRelay, FramesAreTheReferences) {
  Peer& relay = add({});
  Peer& peer = add({});
  ASSERT_TRUE(net_.settle());
  serve_relay(relay);
  std::vector<std::unique_ptr<BareClient>> clients;
  for (int i = 0; i < 2; ++i) {
    auto made = connect(peer, kRelay.public_key, {});
    ASSERT_TRUE(made) << made.error().code;
    clients.push_back(std::make_unique<BareClient>(std::move(*made)));
  }
  const auto vectors = test::load_vectors("blind-relay-protomux");
  const auto frame = [&](size_t i) { return vectors.at("protomux").at(i).at("hex"); };
  const auto bytes = [](const auto& hex) { return test::hex_bytes(hex); };
  clients[0]->send(bytes(frame(0)));
  clients[0]->send(bytes(frame(1)));
  clients[1]->send(bytes(frame(0)));
  Bytes other_half = bytes(frame(1));
  other_half[2] = 0;  // not the initiator
  clients[1]->send(other_half);
  ASSERT_TRUE(net_.world.run_until([&] { return clients[0]->frames.size() == 2 && clients[1]->frames.size() == 2; }, 2s));
  EXPECT_EQ(clients[0]->frames[0], std::string(frame(0).as_string())) << "opened with the id that was asked for";
  EXPECT_EQ(clients[0]->frames[1].substr(0, 70), std::string(frame(1).as_string()).substr(0, 70));
  EXPECT_EQ(relay_->open_pairs(), 1u);

  clients[0]->send(bytes(frame(2)));
  ASSERT_TRUE(net_.world.run_until([&] { return clients[0]->closed && clients[1]->closed; }, 10s));
  EXPECT_EQ(relay_->open_pairs(), 0u);
}

TEST_F(BlindRelay, GuestsAreFewAndDoNotStay) {
  Peer& relay = add({});
  Peer& peer = add({});
  ASSERT_TRUE(net_.settle());
  BlindRelayOptions options;
  options.admit = [](const PublicKey&) { return false; };
  serve_relay(relay, std::move(options));
  std::vector<std::unique_ptr<BareClient>> clients;
  for (size_t i = 0; i < 20; ++i) {
    auto made = connect(peer, kRelay.public_key, {});
    if (!made) break;
    clients.push_back(std::make_unique<BareClient>(std::move(*made)));
    clients.back()->send(wire::encode(wire::MuxOpen{1, "blind-relay", Bytes(32, 1), {}}));
    const Bytes pair = wire::encode(wire::Pair{true, {static_cast<uint8_t>(i)}, i, 0});
    clients.back()->send(wire::encode(wire::MuxMessage{1, wire::kRelayPair, pair}));
  }
  EXPECT_LT(clients.size(), 20u);
  EXPECT_EQ(relay_->open_sessions(), 16u);
  net_.world.run_for(60s);
  EXPECT_EQ(relay_->open_sessions(), 0u);
  EXPECT_TRUE(connect(peer, kRelay.public_key, {}));
}

TEST_F(BlindRelay, AGuestThatShowsNewTokensDoesNotStayEither) {
  Peer& relay = add({});
  Peer& peer = add({});
  ASSERT_TRUE(net_.settle());
  BlindRelayOptions options;
  options.admit = [](const PublicKey&) { return false; };
  serve_relay(relay, std::move(options));
  auto made = connect(peer, kRelay.public_key, {});
  ASSERT_TRUE(made) << made.error().code;
  BareClient client(std::move(*made));
  client.send(wire::encode(wire::MuxOpen{1, "blind-relay", Bytes(32, 1), {}}));
  for (uint8_t i = 0; i < 6 && !client.closed; ++i) {
    client.send(wire::encode(wire::MuxMessage{1, wire::kRelayPair, wire::encode(wire::Pair{true, {i}, i, 0})}));
    net_.world.run_for(10s);
  }
  EXPECT_TRUE(client.closed);
  EXPECT_EQ(relay_->open_sessions(), 0u);
}

TEST_F(BlindRelay, NothingMalformedDoesHarm) {
  Peer& relay = add({});
  Peer& peer = add({});
  ASSERT_TRUE(net_.settle());
  serve_relay(relay);
  SeededRng rng(5);
  const Bytes open = wire::encode(wire::MuxOpen{1, "blind-relay", Bytes(32, 1), {}});
  for (int round = 0; round < 40; ++round) {
    auto made = connect(peer, kRelay.public_key, {});
    ASSERT_TRUE(made);
    BareClient client(std::move(*made));
    if (round % 3 != 0) client.send(open);
    for (int i = 0; i < 20; ++i) {
      Bytes junk(1 + rng.below(60));
      rng.fill(junk);
      if (rng.below(3) == 0) junk[0] = 1;
      if (junk.size() > 1 && rng.below(2) == 0) junk[1] = static_cast<uint8_t>(rng.below(4));
      client.send(junk);
    }
    net_.world.run_for(500ms);
  }
  net_.world.run_for(60s);
  EXPECT_EQ(relay_->open_sessions(), 0u);
  EXPECT_EQ(relay_->open_pairs(), 0u);
  EXPECT_GT(relay_->counters().malformed, 0u);
}

}  // namespace
}  // namespace hg::peer
