// How a node leaves: routes withdrawn, channels finished or closed, streams ended.
#include <gtest/gtest.h>

#include "support/tunnel_members.h"
#include "tunnel/node.h"

namespace hg::tunnel {
namespace {

using namespace test;

using NodeShutdownTest = MembersTest;

TEST_F(NodeShutdownTest, WithdrawsLetsChannelsFinishAndEndsTheStreams) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(80)});
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 1; }));
  auto client = open(gateway, 80);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  bool done = false;
  const TimePoint asked = world_.now();
  provider.node->shutdown(3s, [&] { done = true; });
  run(100ms);
  EXPECT_TRUE(gateway.node->gateway()->gates().empty());
  provider.connector.last().say("the rest");
  run(100ms);
  EXPECT_EQ("the rest", client->text());
  EXPECT_FALSE(done);
  client->channel->close();
  ASSERT_TRUE(wait([&] { return done; }, 10s));
  EXPECT_LT(world_.now() - asked, 1s);
  EXPECT_EQ(1, gateway.lost);
  EXPECT_TRUE(provider.node->peers().empty());
}

TEST_F(NodeShutdownTest, ClosesWhatIsLeftAfterTheGrace) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(80)});
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 1; }));
  auto client = open(gateway, 80);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  bool done = false;
  gateway.node->shutdown(2s, [&] { done = true; });
  ASSERT_TRUE(wait([&] { return done; }, 10s));
  EXPECT_TRUE(client->closed);
  EXPECT_EQ(CloseReason::kStopping, client->reason);
  run(10ms);
  EXPECT_TRUE(provider.connector.last().closed);
  EXPECT_EQ(CloseReason::kRemote, provider.connector.last().reason);
  auto late = open(gateway, 80);
  run(10ms);
  EXPECT_TRUE(late->closed);
}

}  // namespace
}  // namespace hg::tunnel
