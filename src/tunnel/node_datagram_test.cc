// UDP through two nodes: sizes, the way beside the stream, bounds.
#include <gtest/gtest.h>

#include "support/tunnel_members.h"
#include "tunnel/node.h"

namespace hg::tunnel {
namespace {

using namespace test;

using NodeDatagramTest = MembersTest;

TEST_F(NodeDatagramTest, KeepTheirSizesAndTooLargeOnesAreCounted) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({udp(53)});
  connect(gateway, 1, provider, 2, {.high_water = 1 << 30});
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 1; }));
  auto client = open(gateway, 53, Protocol::kUdp);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  EXPECT_EQ(kMaxUdpPayload, client->channel->max_datagram());
  const Bytes data(kMaxUdpPayload + 1, 7);
  const std::vector<size_t> sizes = {0, 1, 512, 61440, 61441, 65507};
  for (const size_t size : sizes) EXPECT_TRUE(client->channel->send_datagram(ByteView(data).first(size)));
  EXPECT_FALSE(client->channel->send_datagram(data));
  run(100ms);
  EXPECT_EQ(sizes, provider.connector.last().datagrams);
  for (const size_t size : sizes) EXPECT_TRUE(provider.connector.last().channel->send_datagram(ByteView(data).first(size)));
  run(100ms);
  EXPECT_EQ(sizes, client->datagrams);
  EXPECT_EQ(1u, gateway.node->counters().datagrams_too_big);
}

TEST_F(NodeDatagramTest, BehindAFullConnectionAreDroppedBeyondABound) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({udp(53)});
  connect(gateway, 1, provider, 2, {.bytes_per_second = 1e5});
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 1; }));
  auto client = open(gateway, 53, Protocol::kUdp);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  const Bytes data(1000, 7);
  int sent = 0;
  for (int i = 0; i < 10000; ++i) sent += client->channel->send_datagram(data) ? 1 : 0;
  EXPECT_GT(sent, 1000);
  EXPECT_LT(sent, 1500);
  EXPECT_EQ(10000u - sent, gateway.node->counters().datagrams_backlog);
}

TEST_F(NodeDatagramTest, ThoseThatFitAPacketTravelBesideTheStream) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({udp(53)});
  const auto [at_gateway, at_provider] = connect(gateway, 1, provider, 2, {.packet = 1200});
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 1; }));
  auto client = open(gateway, 53, Protocol::kUdp);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  const Bytes data(1400, 7);
  const uint64_t on_stream = at_gateway->written_messages();
  for (const size_t size : {size_t{1400}, 1200 - kUnorderedHeaderBytes, size_t{0}})
    client->channel->send_datagram(ByteView(data).first(size));
  run(100ms);
  // The large one goes on the stream, and is overtaken.
  EXPECT_EQ((std::vector<size_t>{1195, 0, 1400}), provider.connector.last().datagrams);
  EXPECT_EQ(2u, at_gateway->unordered_messages());
  EXPECT_EQ(on_stream + 1, at_gateway->written_messages());
  provider.connector.last().channel->send_datagram(ByteView(data).first(100));
  run(100ms);
  EXPECT_EQ(std::vector<size_t>{100}, client->datagrams);
  EXPECT_EQ(1u, at_provider->unordered_messages());
}

TEST_F(NodeDatagramTest, ThoseForNoOpenUdpChannelAreDroppedAndCounted) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({udp(53), tcp(80)});
  const auto [at_gateway, at_provider] = connect(gateway, 1, provider, 2, {.packet = 1200});
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 2; }));
  auto stream = open(gateway, 80);
  auto client = open(gateway, 53, Protocol::kUdp);
  ASSERT_TRUE(wait([&] { return client->opened && stream->opened; }));
  const uint8_t data[] = {1};
  at_gateway->send_unordered(make_unordered_datagram(stream->channel->id(), data));
  at_gateway->send_unordered(make_unordered_datagram(4711, data));
  at_gateway->send_unordered(data);
  at_gateway->send_unordered({});
  client->channel->send_datagram(data);
  client->channel->close();
  provider.connector.last().channel->send_datagram(data);  // meets a closed channel
  run(100ms);
  EXPECT_EQ(4u, provider.node->counters().datagrams_astray);
  EXPECT_EQ(1u, gateway.node->counters().datagrams_astray);
}

}  // namespace
}  // namespace hg::tunnel
