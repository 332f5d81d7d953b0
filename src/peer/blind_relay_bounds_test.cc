// Whom a relay serves, how much of it each one gets, and what strangers can do to it, in virtual time.
#include <set>

#include "peer/blind_relay_channel.h"
#include "support/relayed_peers.h"
#include "support/vectors.h"

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
  EXPECT_LE(with_member, 400'000u * 20 + 40'000) << "the rate, and the burst of a tenth of a second";
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
  const auto vectors = hg::test::load_vectors("blind-relay-protomux");
  const auto frame = [&](size_t i) { return vectors.at("protomux").at(i).at("hex"); };
  const auto bytes = [](const auto& hex) { return hg::test::hex_bytes(hex); };
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
