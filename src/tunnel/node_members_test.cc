// Who a node takes for a member, and in which role.
#include <gtest/gtest.h>

#include "support/tunnel_members.h"
#include "tunnel/node.h"

namespace hg::tunnel {
namespace {

using namespace test;

using NodeTest = MembersTest;

TEST_F(NodeTest, AStrangerIsBannedAndHearsNothingButTheHello) {
  Seed other;
  other.fill(77);
  const RouterKeys other_router = derive_router_keys(other);
  Member gateway(host_, true, false), stranger(host_, false, true, {}, other_router);
  stranger.node->provider()->set_services({tcp(80)});
  const auto ends = connect(gateway, 1, stranger, 2);
  const PipeEnd* gateway_end = ends.first;
  run(500us);
  EXPECT_EQ(1u, gateway_end->written_messages());
  run(100ms);
  EXPECT_EQ(1u, gateway.banned.size() + stranger.banned.size());  // the faster one ends the connection
  EXPECT_EQ(0, gateway.ready + stranger.ready);
  EXPECT_TRUE(gateway.node->peers().empty());
}

TEST_F(NodeTest, TwoProvidersBanEachOtherAndTwoGatewaysDoNot) {
  Member one(host_, false, true), two(host_, false, true);
  connect(one, 1, two, 2);
  run(100ms);
  EXPECT_EQ(1u, one.banned.size() + two.banned.size());
  for (const Member* provider : {&one, &two}) {  // nothing was lost: such peers have nothing to do with each other
    EXPECT_EQ(0, provider->lost);
    EXPECT_EQ(0u, provider->node->counters().sessions_lost);
  }
  EXPECT_TRUE(one.node->peers().empty());

  Member three(host_, true, false), four(host_, true, false);
  connect(three, 3, four, 4);
  run(100ms);
  EXPECT_TRUE(three.banned.empty());
  EXPECT_EQ(1u, three.node->peers().size());
}

TEST_F(NodeTest, RelayKeysAreToldInEveryRole) {
  Member gateway(host_, true, false), provider(host_, false, true), both(host_, true, true);
  provider.node->provider()->set_services({tcp(80)});
  gateway.node->set_relay(key(51));
  provider.node->set_relay(key(52));
  connect(gateway, 1, provider, 2);
  connect(gateway, 1, both, 3);
  connect(provider, 2, both, 3);
  run(100ms);
  both.node->set_relay(key(53));
  run(100ms);
  using Relays = std::map<PublicKey, std::optional<PublicKey>>;
  EXPECT_EQ(gateway.relays, (Relays{{key(2), key(52)}, {key(3), key(53)}}));
  EXPECT_EQ(provider.relays, (Relays{{key(1), key(51)}, {key(3), key(53)}}));
  EXPECT_EQ(both.relays, (Relays{{key(1), key(51)}, {key(2), key(52)}}));
  EXPECT_TRUE(both.node->is_member(key(1)));
  EXPECT_FALSE(both.node->is_member(key(4)));
  EXPECT_EQ(1u, gateway.node->gateway()->gates().size()) << "what is said of relays withdraws no routes";

  for (Member* member : {&gateway, &provider, &both}) member->node->set_relay({});
  run(100ms);
  EXPECT_EQ(provider.relays, (Relays{{key(1), {}}, {key(3), {}}}));
  EXPECT_EQ(gateway.relays, (Relays{{key(2), {}}, {key(3), {}}}));
  EXPECT_EQ(1u, gateway.node->gateway()->gates().size());
}

TEST_F(NodeTest, ASilentConnectionIsDropped) {
  Member gateway(host_, true, false);
  auto [mine, theirs] = make_pipe(host_, key(1), key(2));
  gateway.node->add_connection(std::move(mine));
  run(14s);
  EXPECT_EQ(1u, gateway.node->peers().size());
  run(2s);
  EXPECT_TRUE(gateway.node->peers().empty());
}

TEST_F(NodeTest, StrangersThatSayNothingMakeRoomForOneAnother) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(80)});
  std::vector<std::unique_ptr<RawPeer>> strangers;
  for (uint8_t i = 0; i < 40; ++i) {
    strangers.push_back(std::make_unique<RawPeer>(host_, gateway, 10 + i, 1, false));
    run(10ms);
  }
  EXPECT_EQ(32u, gateway.node->peers().size());
  for (size_t i = 0; i < strangers.size(); ++i) EXPECT_EQ(i < 8, strangers[i]->closed) << i;
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->gates().size() == 1; }));
  EXPECT_LE(gateway.node->peers().size(), 33u);
  for (auto& stranger : strangers) stranger = std::make_unique<RawPeer>(host_, gateway, 99, 1, false);
  run(10ms);
  EXPECT_TRUE(gateway.node->is_member(key(2)));
}

TEST_F(NodeTest, TwoMembersWithBothRolesServeEachOther) {
  Member a(host_, true, true), b(host_, true, true);
  a.node->provider()->set_services({tcp(81)});
  b.node->provider()->set_services({tcp(82)});
  connect(a, 1, b, 2);
  ASSERT_TRUE(wait([&] { return !a.node->gateway()->gates().empty() && !b.node->gateway()->gates().empty(); }));
  std::vector<std::unique_ptr<FakeSocket>> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(open(a, 82));
    clients.push_back(open(b, 81));
  }
  ASSERT_TRUE(wait([&] { return std::all_of(clients.begin(), clients.end(), [](const auto& c) { return c->opened; }); }));
  clients[0]->say("to b");
  clients[1]->say("to a");
  run(10ms);
  EXPECT_EQ("to b", b.connector.sockets[0]->text());
  EXPECT_EQ("to a", a.connector.sockets[0]->text());
  EXPECT_EQ(20u, a.node->channel_count());
}

}  // namespace
}  // namespace hg::tunnel
