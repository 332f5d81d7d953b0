// Sessions whose peer falls silent and answers again: what becomes of routes, openings and channels.
#include <gtest/gtest.h>

#include "support/tunnel_members.h"
#include "tunnel/node.h"

namespace hg::tunnel {
namespace {

using namespace test;

using NodeSilenceTest = MembersTest;

TEST_F(NodeSilenceTest, BothEndsAllowMovesOnceBothHaveSaidSo) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(8080)});
  const auto [at_gateway, at_provider] = connect(gateway, 1, provider, 2);
  run(100ms);
  EXPECT_TRUE(at_gateway->moves_allowed());
  EXPECT_TRUE(at_provider->moves_allowed());
  Member both(host_, true, true), third(host_, true, false);
  const auto [at_both, at_third] = connect(both, 3, third, 4);
  run(100ms);
  EXPECT_TRUE(at_both->moves_allowed() && at_third->moves_allowed());
}

TEST_F(NodeSilenceTest, APeerThatListsNoFeatureHearsOfNone) {
  Member gateway(host_, true, false), provider(host_, false, true);
  RawPeer raw_provider(host_, gateway, 7, 1, false);
  raw_provider.say_hello();
  raw_provider.advertise({tcp(8080)});
  RawPeer raw_gateway(host_, provider, 8, 2, true);
  raw_gateway.say_hello();
  run(20s);
  EXPECT_EQ(raw_provider.count(Action::kAdvRoutes), 0u);
  EXPECT_FALSE(raw_provider.far->moves_allowed());
  EXPECT_FALSE(raw_gateway.far->moves_allowed());
}

TEST_F(NodeSilenceTest, ChannelsWaitAndNewOnesOpenWhenThePeerAnswersAgain) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(8080)});
  const auto ends = connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return !gateway.node->gateway()->gates().empty(); }));
  auto client = open(gateway, 8080);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  ends.first->set_answering(false);
  client->push(100'000);
  auto second = open(gateway, 8080);
  run(8s);
  EXPECT_FALSE(client->closed || second->closed || second->opened);
  EXPECT_EQ(gateway.node->gateway()->gates().size(), 1u);
  EXPECT_FALSE(gateway.node->peers()[0].answering);
  const TimePoint back = world_.now();
  ends.first->set_answering(true);
  ASSERT_TRUE(wait([&] { return second->opened && provider.connector.sockets[0]->received == 100'000; }));
  EXPECT_LT(world_.now() - back, 50ms);
}

TEST_F(NodeSilenceTest, RoutesOfASilentPeerGoAfterAWhileAndComeBackWithIt) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(8080)});
  const auto ends = connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return !gateway.node->gateway()->gates().empty(); }));
  auto client = open(gateway, 8080);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  const uint64_t written = ends.second->written_messages();
  ends.first->set_answering(false);
  run(14s);
  EXPECT_EQ(gateway.node->gateway()->gates().size(), 1u);
  run(2s);
  EXPECT_TRUE(gateway.node->gateway()->gates().empty());
  run(30s);
  EXPECT_FALSE(client->closed) << "the channel goes on waiting";
  EXPECT_EQ(ends.second->written_messages(), written) << "no advertisements pile up";
  ends.first->set_answering(true);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->gates().size() == 1; }, 100ms));
}

TEST_F(NodeSilenceTest, AnotherProviderServesMeanwhile) {
  Member gateway(host_, true, false), one(host_, false, true), two(host_, false, true);
  one.node->provider()->set_services({tcp(8080)});
  two.node->provider()->set_services({tcp(8080)});
  const auto ends = connect(gateway, 1, one, 2);
  connect(gateway, 1, two, 3);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 2; }));
  ends.first->set_answering(false);
  std::vector<std::unique_ptr<FakeSocket>> clients;
  const TimePoint start = world_.now();
  for (int i = 0; i < 10; ++i) clients.push_back(open(gateway, 8080));
  ASSERT_TRUE(wait([&] { return std::all_of(clients.begin(), clients.end(), [](const auto& c) { return c->opened; }); }));
  EXPECT_LT(world_.now() - start, 20ms);
  EXPECT_EQ(one.connector.requests.size(), 0u);
  ends.first->set_answering(true);
  for (int i = 0; i < 10; ++i) clients.push_back(open(gateway, 8080));
  run(1s);
  EXPECT_GT(one.connector.requests.size(), 3u);
}

TEST_F(NodeSilenceTest, AProviderThatComesBackAsAnotherProcessTakesOverAtOnce) {
  Member gateway(host_, true, false), old(host_, false, true), fresh(host_, false, true);
  old.node->provider()->set_services({tcp(8080)});
  fresh.node->provider()->set_services({tcp(8080)});
  const auto ends = connect(gateway, 1, old, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 1; }));
  ends.first->set_answering(false);
  auto waiting = open(gateway, 8080);
  run(1500ms);
  EXPECT_FALSE(waiting->opened);
  connect(gateway, 1, fresh, 3);
  ASSERT_TRUE(wait([&] { return waiting->opened; }, 2s));
  EXPECT_EQ(fresh.connector.requests.size(), 1u);
}

}  // namespace
}  // namespace hg::tunnel
