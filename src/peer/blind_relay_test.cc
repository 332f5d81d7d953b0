// Peers that cannot reach each other connect through a third one, in virtual time.
#include "support/relayed_peers.h"

namespace hg::peer {
namespace {

using sim::Collector;
using sim::NatKind;
using sim::Peer;
using test::BlindRelay;
using test::kClient;
using test::key;
using test::kRelay;
using test::kServer;

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

}  // namespace
}  // namespace hg::peer
