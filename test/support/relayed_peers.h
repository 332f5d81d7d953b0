// A relay and two who go through it, in virtual time, for tests.
#pragma once

#include <gtest/gtest.h>

#include "peer/blind_relay.h"
#include "sim/peer_network.h"

namespace hg::peer::test {

using sim::Collector;
using sim::NatKind;
using sim::Peer;
using sim::PeerNetwork;

inline KeyPair key(uint8_t n) { return crypto::key_pair_from_seed(Seed{n}); }
inline const KeyPair kServer = key(1), kClient = key(2), kRelay = key(3);

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

}  // namespace hg::peer::test
