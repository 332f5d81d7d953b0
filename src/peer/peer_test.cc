// Peers that connect over a private network of our own nodes, in virtual time.
#include <gtest/gtest.h>

#include "sim/peer_network.h"

namespace hg::peer {
namespace {

using sim::Collector;
using sim::NatKind;
using sim::Peer;
using sim::PeerNetwork;

KeyPair key(uint8_t n) { return crypto::key_pair_from_seed(Seed{n}); }

class Peers : public ::testing::Test {
 protected:
  /// Listens with an echo server.
  void listen(Peer& peer, const KeyPair& keys, Firewall firewall = {}) {
    ListenOptions options;
    options.firewall = std::move(firewall);
    options.on_connection = [this](std::unique_ptr<noise::SecureConnection> c) { served_.push_back(std::make_unique<Collector>(std::move(c), true)); };
    auto server = peer.host->listen(keys, std::move(options));
    ASSERT_TRUE(server);
    server_ = std::move(*server);
    bool listening = false;
    server_->on_listening([&] { listening = true; });
    ASSERT_TRUE(net_.world.run_until([&] { return listening; }, 30s));
  }
  /// The outcome of a connect within `limit`.
  Expected<std::unique_ptr<noise::SecureConnection>> connect(Peer& peer, const PublicKey& to, Duration limit = 90s, std::vector<Endpoint> relays = {}) {
    std::optional<Expected<std::unique_ptr<noise::SecureConnection>>> outcome;
    const TimePoint start = net_.world.now();
    const auto attempt = peer.host->connect(to, {key(99), std::move(relays)}, [&](auto result) { outcome.emplace(std::move(result)); });
    net_.world.run_until([&] { return outcome.has_value(); }, limit);
    took_ = net_.world.now() - start;
    if (!outcome) return Error{"NO_CALLBACK", ""};
    return std::move(*outcome);
  }
  void expect_echo(std::unique_ptr<noise::SecureConnection> c, size_t size = 100000) {
    Collector client(std::move(c));
    Bytes data(size);
    for (size_t i = 0; i < size; ++i) data[i] = static_cast<uint8_t>(i * 31);
    client.send(data);
    EXPECT_TRUE(net_.world.run_until([&] { return client.received.size() >= size; }, 60s));
    EXPECT_EQ(client.received, data);
    client.connection->end();
    EXPECT_TRUE(net_.world.run_until([&] { return client.closed; }, 30s));
    EXPECT_FALSE(client.error) << client.error->code;
  }

  PeerNetwork net_;
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<Collector>> served_;
  Duration took_{};

  void TearDown() override {
    served_.clear();
    server_.reset();
  }
};

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

}  // namespace
}  // namespace hg::peer
