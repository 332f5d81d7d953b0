// For tests: peers on the simulated network, one of which listens with an echo server.
#pragma once

#include <gtest/gtest.h>

#include "sim/peer_network.h"

namespace hg::peer {

inline KeyPair key(uint8_t n) { return crypto::key_pair_from_seed(Seed{n}); }

class Peers : public ::testing::Test {
 protected:
  /// Listens with an echo server.
  void listen(sim::Peer& peer, const KeyPair& keys, Firewall firewall = {}) {
    ListenOptions options;
    options.firewall = std::move(firewall);
    options.on_connection = [this](std::unique_ptr<noise::SecureConnection> c) {
      served_.push_back(std::make_unique<sim::Collector>(std::move(c), true));
    };
    auto server = peer.host->listen(keys, std::move(options));
    ASSERT_TRUE(server);
    server_ = std::move(*server);
    bool listening = false;
    server_->on_listening([&] { listening = true; });
    ASSERT_TRUE(net_.world.run_until([&] { return listening; }, 30s));
  }
  /// The outcome of a connect within `limit`.
  Expected<std::unique_ptr<noise::SecureConnection>> connect(sim::Peer& peer, const PublicKey& to, Duration limit = 90s,
                                                             std::vector<Endpoint> relays = {}) {
    std::optional<Expected<std::unique_ptr<noise::SecureConnection>>> outcome;
    const TimePoint start = net_.world.now();
    const auto attempt = peer.host->connect(to, {key(99), std::move(relays)}, [&](auto result) { outcome.emplace(std::move(result)); });
    net_.world.run_until([&] { return outcome.has_value(); }, limit);
    took_ = net_.world.now() - start;
    if (!outcome) return Error{"NO_CALLBACK", ""};
    return std::move(*outcome);
  }
  void expect_echo(std::unique_ptr<noise::SecureConnection> c, size_t size = 100000) {
    sim::Collector client(std::move(c));
    Bytes data(size);
    for (size_t i = 0; i < size; ++i) data[i] = static_cast<uint8_t>(i * 31);
    client.send(data);
    EXPECT_TRUE(net_.world.run_until([&] { return client.received.size() >= size; }, 60s));
    EXPECT_EQ(client.received, data);
    client.connection->end();
    EXPECT_TRUE(net_.world.run_until([&] { return client.closed; }, 30s));
    EXPECT_FALSE(client.error) << client.error->code;
  }

  sim::PeerNetwork net_;
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<sim::Collector>> served_;
  Duration took_{};

  void TearDown() override {
    served_.clear();
    server_.reset();
  }
};

}  // namespace hg::peer
