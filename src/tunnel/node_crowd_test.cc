// More open requests at once than the connection to a provider takes.
#include <gtest/gtest.h>

#include "support/tunnel_members.h"
#include "tunnel/node.h"

namespace hg::tunnel {
namespace {

using namespace test;

constexpr PipeOptions kSlow{.bytes_per_second = 1e5, .high_water = 16384};
constexpr size_t kRequestBytes = 600;  // at most, here

class NodeCrowdTest : public MembersTest {
 protected:
  PipeEnd* join(Member& provider, uint8_t provider_key, const PipeOptions& options) {
    const size_t routes = gateway_.node->gateway()->routes().size();
    provider.node->provider()->set_services({tcp(80), udp(53)});
    PipeEnd* end = connect(gateway_, 1, provider, provider_key, options).first;
    EXPECT_TRUE(wait([&] { return gateway_.node->gateway()->routes().size() == routes + 2; }));
    return end;
  }
  void come(size_t clients, Protocol protocol = Protocol::kTcp) {
    for (size_t i = 0; i < clients; ++i) clients_.push_back(open(gateway_, protocol == Protocol::kTcp ? 80 : 53, protocol));
  }
  size_t opened() const {
    return static_cast<size_t>(std::count_if(clients_.begin(), clients_.end(), [](const auto& client) { return client->opened; }));
  }
  size_t asked() const {
    return static_cast<size_t>(
        std::count_if(clients_.begin(), clients_.end(), [](const auto& client) { return client->channel->session() != nullptr; }));
  }

  Limits limits_;
  Member gateway_{host_, true, false};
  Member provider_{host_, false, true};
  std::vector<std::unique_ptr<FakeSocket>> clients_;
};

TEST_F(NodeCrowdTest, WhatItQueuesIsBoundedAndAllOfItsClientsAreServedAsFastAsThePathTakesThem) {
  PipeEnd* end = join(provider_, 2, kSlow);
  const uint64_t before = end->stats().bytes_sent;
  const TimePoint start = world_.now();
  come(5000);
  const size_t bound = kSlow.high_water + limits_.max_opening_backlog + kRequestBytes;
  EXPECT_LT(end->queued_bytes(), bound);
  while (opened() < 5000 && world_.now() - start < 60s) {
    run(100ms);
    ASSERT_LT(end->queued_bytes(), bound);
  }
  EXPECT_EQ(opened(), 5000u);
  const double bytes = static_cast<double>(end->stats().bytes_sent - before);
  EXPECT_LT(to_seconds(world_.now() - start), bytes / kSlow.bytes_per_second * 1.02 + 0.2) << "the path was idle while clients waited";
}

TEST_F(NodeCrowdTest, EndlessUdpFlowsAreBoundedAndKeepNoTcpClientOutForLong) {
  PipeEnd* end = join(provider_, 2, kSlow);
  const auto flood = [&] {
    for (int i = 0; i < 200; ++i) {
      if (gateway_.node->gateway()->takes_flow({53, Protocol::kUdp})) come(1, Protocol::kUdp);
      run(1ms);
    }
  };
  for (int i = 0; i < 20; ++i) flood();
  EXPECT_LT(end->queued_bytes(), kSlow.high_water + limits_.max_opening_backlog + kRequestBytes);
  auto client = open(gateway_, 80);
  for (int i = 0; i < 30 && !client->opened; ++i) flood();
  EXPECT_TRUE(client->opened);
}

TEST_F(NodeCrowdTest, OneThatLeavesBeforeItAskedSaysNothing) {
  PipeEnd* end = join(provider_, 2, kSlow);
  come(1000);
  const size_t asked_for = asked();
  EXPECT_LT(asked_for, 1000u);
  const uint64_t messages = end->written_messages();
  for (size_t i = asked_for; i < clients_.size(); ++i) clients_[i]->channel->close();
  EXPECT_EQ(end->written_messages(), messages);
  clients_.resize(asked_for);
  EXPECT_TRUE(wait([&] { return opened() == asked_for; }));
  EXPECT_EQ(provider_.connector.requests.size(), asked_for);
}

TEST_F(NodeCrowdTest, AnotherProviderWithRoomIsAsked) {
  Member other(host_, false, true);
  join(provider_, 2, kSlow);
  come(1000);
  ASSERT_LT(asked(), 1000u);
  join(other, 3, {});
  for (int i = 0; i < 10; ++i) {
    auto client = open(gateway_, 80);
    ASSERT_NE(client->channel->session(), nullptr);
    EXPECT_EQ(client->channel->session()->remote_key(), key(3));
  }
}

TEST_F(NodeCrowdTest, NobodyIsTakenFromOneProviderToWaitForAnother) {
  Member other(host_, false, true);
  join(provider_, 2, kSlow);
  join(other, 3, kSlow);
  come(3000);
  ASSERT_TRUE(wait([&] { return asked() == 3000; }));
  for (const Member* provider : {&provider_, &other}) {
    const auto& sockets = provider->connector.sockets;
    EXPECT_GT(sockets.size(), 500u);
    EXPECT_TRUE(std::none_of(sockets.begin(), sockets.end(), [](const auto& socket) { return socket->closed; }));
  }
}

TEST_F(NodeCrowdTest, BehindAnUploadItIsAskedForAtOnce) {
  constexpr size_t kMuch = 1 << 20;  // what a fast path queues: 4 ms
  PipeEnd* end = join(provider_, 2, {.bytes_per_second = 250e6, .high_water = kMuch});
  auto upload = open(gateway_, 80);
  ASSERT_TRUE(wait([&] { return upload->opened; }));
  provider_.connector.last().keep = false;
  upload->push(200'000'000);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(wait([&] { return end->queued_bytes() > kMuch * 3 / 4; }));
    const uint64_t messages = end->written_messages();
    clients_.clear();
    come(200);
    EXPECT_EQ(asked(), 200u);
    EXPECT_GE(end->written_messages(), messages + 200);
    run(20ms);
  }
  EXPECT_GT(upload->to_send, 0u);
}

}  // namespace
}  // namespace hg::tunnel
