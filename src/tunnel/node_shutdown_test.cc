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
  auto client = opened(gateway, provider, tcp(80));
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
  auto client = opened(gateway, provider, tcp(80));
  bool done = false;
  gateway.node->shutdown(2s, [&] { done = true; });
  ASSERT_TRUE(wait([&] { return done; }, 10s));
  EXPECT_TRUE(client->closed);
  EXPECT_EQ(CloseReason::kStopping, client->reason);
  run(10ms);
  EXPECT_TRUE(provider.connector.last().closed);
  EXPECT_EQ(CloseReason::kStopping, provider.connector.last().reason);
  auto late = open(gateway, 80);
  run(10ms);
  EXPECT_TRUE(late->closed);
}

// A flow through two nodes, one of which is told to stop.
class FlowShutdownTest : public NodeShutdownTest {
 protected:
  FlowShutdownTest() { flow_ = opened(gateway_, provider_, udp(53), {.packet = 1200}); }
  Duration stop(Member& member) {
    const TimePoint asked = world_.now();
    bool done = false;
    member.node->shutdown(5s, [&] { done = true; });
    EXPECT_TRUE(wait([&] { return done; }, 20s));
    return world_.now() - asked;
  }
  void say_for(FakeSocket& from, Duration span, size_t bytes = 100) {
    const Bytes data(bytes);
    for (Duration at{}; at < span && !from.closed; at += 100ms) {
      from.channel->send_datagram(data);
      run(100ms);
    }
  }
  void is_waited_for_while_in_use(size_t bytes);
  Member gateway_{host_, true, false};
  Member provider_{host_, false, true};
  std::unique_ptr<FakeSocket> flow_;
};

TEST_F(FlowShutdownTest, AGatewayDoesNotWaitForAQuietFlow) {
  run(2s);
  EXPECT_LT(stop(gateway_), 500ms);
  EXPECT_EQ(CloseReason::kStopping, flow_->reason);
  run(100ms);
  EXPECT_EQ(CloseReason::kRemote, provider_.connector.last().reason);
}

TEST_F(FlowShutdownTest, AProviderDoesNotWaitForAQuietFlow) {
  run(2s);
  EXPECT_LT(stop(provider_), 500ms);
  EXPECT_EQ(CloseReason::kStopping, provider_.connector.last().reason);
  run(100ms);
  EXPECT_TRUE(flow_->closed);
}

// What goes and what comes counts alike, beside the stream and on it.
void FlowShutdownTest::is_waited_for_while_in_use(size_t bytes) {
  FakeSocket& service = provider_.connector.last();
  bool done = false;
  gateway_.node->shutdown(5s, [&] { done = true; });
  say_for(*flow_, 1500ms, bytes);
  say_for(service, 1500ms, bytes);
  EXPECT_EQ(15u, service.datagrams.size());
  EXPECT_EQ(15u, flow_->datagrams.size());
  EXPECT_FALSE(done);
  const TimePoint quiet_since = world_.now();
  ASSERT_TRUE(wait([&] { return done; }, 10s));
  EXPECT_GT(world_.now() - quiet_since, 800ms);
  EXPECT_LT(world_.now() - quiet_since, 1500ms);
}

TEST_F(FlowShutdownTest, AFlowInUseBesideTheStreamIsWaitedForUntilItIsQuiet) { is_waited_for_while_in_use(100); }
TEST_F(FlowShutdownTest, AFlowInUseOnTheStreamIsWaitedForUntilItIsQuiet) { is_waited_for_while_in_use(1400); }

TEST_F(FlowShutdownTest, AFlowThatIsNeverQuietIsWaitedForAsLongAsAnyChannel) {
  bool done = false;
  provider_.node->shutdown(3s, [&] { done = true; });
  say_for(*flow_, 2800ms);
  EXPECT_FALSE(done);
  say_for(*flow_, 1s);
  EXPECT_TRUE(flow_->closed);
  EXPECT_TRUE(wait([&] { return done; }, 1s));
}

TEST_F(FlowShutdownTest, ATcpChannelBesideAQuietFlowIsStillWaitedFor) {
  provider_.node->provider()->set_services({udp(53), tcp(80)});
  ASSERT_TRUE(wait([&] { return gateway_.node->gateway()->routes().size() == 2; }));
  auto client = open(gateway_, 80);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  run(2s);
  const Duration took = stop(gateway_);
  EXPECT_GT(took, 4900ms);
  EXPECT_LT(took, 6s);
}

}  // namespace
}  // namespace hg::tunnel
