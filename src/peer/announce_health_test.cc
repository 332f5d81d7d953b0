// A key stays reachable, whatever happens to the nodes it is announced at, to its address and to the clock.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "peer/announcer.h"
#include "sim/peer_network.h"
#include "support/log_lines.h"

namespace hg::peer {
namespace {

using sim::NatKind;
using sim::Peer;
using sim::PeerNetwork;

KeyPair key(uint8_t n) { return crypto::key_pair_from_seed(Seed{n}); }

class AnnounceHealth : public ::testing::Test {
 protected:
  static constexpr size_t kNodes = 12;

  /// A server behind a NAT: it is reached through its relays only.
  void listen() {
    peer_ = &net_.add_behind_nat(NatKind::kConsistent);
    host_ = net_.hosts.back();
    nat_ = net_.nats.back().get();
    ListenOptions options;
    options.on_connection = [this](std::unique_ptr<noise::SecureConnection> c) { served_.push_back(std::move(c)); };
    auto server = peer_->host->listen(key(1), std::move(options));
    ASSERT_TRUE(server);
    server_ = std::move(*server);
    client_ = &net_.add_behind_nat(NatKind::kConsistent);
  }
  /// How long it takes until a client that tries again and again is connected; nullopt: not within `limit`.
  std::optional<Duration> reachable(Duration limit) {
    const TimePoint start = net_.world.now();
    while (net_.world.now() - start < limit) {
      std::optional<bool> made;
      const auto attempt = client_->host->connect(key(1).public_key, {key(99), {}}, [&](auto result) { made = result.ok(); });
      net_.world.run_until([&] { return made.has_value(); }, 10s);
      if (made && *made) return net_.world.now() - start;
      net_.world.run_for(200ms);
    }
    return std::nullopt;
  }
  void nodes_up(bool up) {
    for (size_t i = 0; i < kNodes; ++i) net_.hosts[i]->set_up(up);
  }
  void TearDown() override {
    served_.clear();
    server_.reset();
  }

  PeerNetwork net_{3, kNodes};
  Peer* peer_ = nullptr;
  Peer* client_ = nullptr;
  sim::Host* host_ = nullptr;
  sim::NatRuntime* nat_ = nullptr;
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<noise::SecureConnection>> served_;
};

TEST_F(AnnounceHealth, AllThreeRelaysDieAtOnceAgainAndAgain) {
  listen();
  ASSERT_TRUE(net_.settle());
  net_.world.run_for(5s);
  for (int round = 0; round < 3; ++round) {
    const auto addresses = server_->relay_addresses();
    const std::set<Endpoint> dead(addresses.begin(), addresses.end());
    ASSERT_EQ(dead.size(), 3u);
    for (size_t i = 1; i < kNodes; ++i)
      if (dead.contains(net_.peers[i]->node.server_socket().local_endpoint())) net_.hosts[i]->set_up(false);
    const auto renewed = [&] {
      const auto now = server_->relay_addresses();
      return !now.empty() && std::none_of(now.begin(), now.end(), [&](const Endpoint& e) { return dead.contains(e); });
    };
    const TimePoint start = net_.world.now();
    ASSERT_TRUE(net_.world.run_until(renewed, 60s)) << round;
    EXPECT_LT(net_.world.now() - start, 20s) << round;
    ASSERT_TRUE(reachable(20s)) << round;
  }
}

TEST_F(AnnounceHealth, AnAddressThatDriftsIsAnnouncedAnew) {
  listen();
  ASSERT_TRUE(net_.settle());
  net_.world.run_for(5s);
  for (int round = 0; round < 6; ++round) {
    nat_->reboot(false);
    const auto took = reachable(60s);
    ASSERT_TRUE(took) << round;
    EXPECT_LT(*took, 12s) << round;
    net_.world.run_for(std::chrono::seconds(7 * round));
  }
}

TEST_F(AnnounceHealth, NothingLatches) {
  listen();
  ASSERT_TRUE(net_.settle());
  SeededRng rng(4);
  for (int round = 0; round < 8; ++round) {
    // At any moment of its round the network may go, for seconds or for minutes, and come back with nothing remembered.
    net_.world.run_for(std::chrono::milliseconds(rng.below(9000)));
    if (round % 2 == 0)
      nodes_up(false);
    else
      host_->set_up(false);
    net_.world.run_for(std::chrono::seconds(round % 3 == 0 ? 600 : 5 + rng.below(60)));
    nodes_up(true);
    host_->set_up(true);
    if (round % 4 == 0)
      for (size_t i = 0; i < kNodes; ++i) net_.restart(i);
    ASSERT_TRUE(reachable(90s)) << round;
  }
}

TEST_F(AnnounceHealth, NodesThatStartOverBetweenTwoPingsAreToldAgain) {
  listen();
  ASSERT_TRUE(net_.settle());
  net_.world.run_for(7s);
  for (size_t i = 0; i < kNodes; ++i) net_.restart(i);
  const auto took = reachable(60s);
  ASSERT_TRUE(took);
  EXPECT_LT(*took, 30s);
}

TEST_F(AnnounceHealth, NamesThatAreNoLongerResolvedTakeNothingBack) {
  listen();
  nat_->lookups_answered = 1;
  ASSERT_TRUE(net_.settle());
  net_.world.run_for(std::chrono::minutes(10));
  size_t routes = 0;
  for (size_t i = 0; i < kNodes; ++i) routes += net_.peers[i]->node.find_route(dht::hash_target(key(1).public_key)).has_value();
  EXPECT_GE(routes, 3u);
  const auto took = reachable(20s);
  ASSERT_TRUE(took);
  EXPECT_LT(*took, 3s);
}

TEST_F(AnnounceHealth, ARoundThatFindsNobodyTakesNothingBack) {
  listen();
  ASSERT_TRUE(net_.settle());
  net_.world.run_for(5s);
  const auto relays = server_->relay_addresses();
  ASSERT_EQ(relays.size(), 3u);
  host_->set_up(false);
  server_->refresh();
  net_.world.run_for(std::chrono::minutes(3));
  EXPECT_EQ(server_->relay_addresses(), relays);
}

TEST_F(AnnounceHealth, SurvivesABadNetwork) {
  net_.world.set_default_path({.delay = 80ms, .jitter = 60ms, .loss = 0.3, .duplicate = 0.05});
  listen();
  ASSERT_TRUE(net_.settle());
  for (int i = 0; i < 5; ++i) {
    net_.world.run_for(std::chrono::minutes(7));
    ASSERT_TRUE(reachable(120s)) << i;
  }
}

TEST_F(AnnounceHealth, WithoutAnyBootstrapAtTheStartItTriesOnAndSaysSoInALine) {
  test::LogLines lines;
  listen();
  sim::Host& client_host = *net_.hosts.back();
  host_->set_up(false);
  client_host.set_up(false);
  net_.world.run_for(5s);
  ASSERT_EQ(lines.warnings.size(), 2u) << "one line each of two processes, within 5 s";
  EXPECT_NE(lines.warnings[0].find("no DHT node answers"), std::string::npos) << lines.warnings[0];
  lines.clear();
  net_.world.run_for(std::chrono::minutes(20));
  EXPECT_LE(lines.all.size(), 2 * 22u) << "about a line a minute";
  EXPECT_GE(lines.all.size(), 2 * 18u);
  host_->set_up(true);
  client_host.set_up(true);
  const auto took = reachable(60s);
  ASSERT_TRUE(took);
  EXPECT_LT(*took, 20s);
}

TEST_F(AnnounceHealth, ClocksMayBeWrongAndJump) {
  listen();
  nat_->wall_offset_ms = -int64_t{86400} * 365 * 1000;
  net_.nats.back()->wall_offset_ms = int64_t{86400} * 1000;
  ASSERT_TRUE(net_.settle());
  net_.world.run_for(10s);
  ASSERT_TRUE(reachable(10s));
  for (const int64_t jump : {int64_t{3600} * 1000, int64_t{-7200} * 1000, int64_t{86400} * 400 * 1000}) {
    nat_->wall_offset_ms += jump;
    net_.world.run_for(std::chrono::minutes(2));
    const auto took = reachable(10s);
    ASSERT_TRUE(took) << jump;
    EXPECT_LT(*took, 3s) << jump;
  }
}

}  // namespace
}  // namespace hg::peer
