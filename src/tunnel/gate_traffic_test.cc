#include "tunnel/gate_traffic.h"

#include "support/tunnel_members.h"

namespace hg::tunnel {
namespace {

GateKey gate(size_t port, Protocol protocol = Protocol::kTcp) { return {static_cast<uint16_t>(port), protocol}; }

class GateTrafficTest : public testing::Test {
 protected:
  void fill(size_t from, size_t to, bool offered) {
    for (size_t port = from; port <= to; ++port) table_.of(gate(port), [&](GateKey) { return ++asked_, offered; });
  }

  GateTraffic table_;
  size_t asked_ = 0;
};

TEST_F(GateTrafficTest, IsOneForAllChannelsOfAGate) {
  EXPECT_EQ(nullptr, table_.find(gate(80)));
  fill(80, 80, false);
  table_.of(gate(80), [](GateKey) { return false; })->to_peers += 5;
  EXPECT_EQ(5u, table_.find(gate(80))->to_peers);
  EXPECT_EQ(nullptr, table_.find(gate(80, Protocol::kUdp)));
}

TEST_F(GateTrafficTest, OfManyThoseNeitherOfferedNorUsedAreForgotten) {
  const auto used = table_.of(gate(1), [](GateKey) { return false; });
  fill(2, GateTraffic::kMost, false);
  EXPECT_EQ(GateTraffic::kMost, table_.all().size());
  EXPECT_EQ(0u, asked_) << "up to here nobody asks";
  table_.of(gate(9999), [](GateKey gate) { return gate.port == 2; });
  EXPECT_EQ(3u, table_.all().size());
  for (const size_t port : {1, 2, 9999}) EXPECT_NE(nullptr, table_.find(gate(port))) << port;
}

TEST_F(GateTrafficTest, WhatHasToStayIsNotLookedThroughForEachNewOne) {
  fill(1, 2 * GateTraffic::kMost, true);
  EXPECT_EQ(2 * GateTraffic::kMost, table_.all().size());
  EXPECT_EQ(GateTraffic::kMost, asked_);
  fill(20000, 20000, false);
  EXPECT_EQ(1u, table_.all().size());
}

using GatewayTrafficTest = test::MembersTest;

TEST_F(GatewayTrafficTest, DatagramsBesideTheStreamCount) {
  test::Member gateway(host_, true, false), provider(host_, false, true);
  auto client = opened(gateway, provider, test::udp(53), {.packet = 1200});
  client->channel->send_datagram(as_bytes("question"));
  ASSERT_TRUE(wait([&] { return provider.connector.last().received == 8; }));
  provider.connector.last().channel->send_datagram(as_bytes("answer"));
  ASSERT_TRUE(wait([&] { return client->received == 6; }));
  const auto at_gateway = gateway.node->gateway()->traffic().find(gate(53, Protocol::kUdp));
  const auto at_provider = provider.node->provider()->health().begin()->second->traffic;
  EXPECT_EQ(8u, at_gateway->to_peers);
  EXPECT_EQ(6u, at_gateway->from_peers);
  EXPECT_EQ(6u, at_provider->to_peers);
  EXPECT_EQ(8u, at_provider->from_peers);
}

TEST_F(GatewayTrafficTest, OfManyGatesWhatProvidersOfferStays) {
  test::Member gateway(host_, true, false), provider(host_, false, true);
  opened(gateway, provider, test::tcp(80));
  for (uint16_t port = 1000; port < 1000 + GateTraffic::kMost; ++port) open(gateway, port);
  const GateTraffic& traffic = gateway.node->gateway()->traffic();
  EXPECT_LE(traffic.all().size(), GateTraffic::kMost);
  EXPECT_NE(nullptr, traffic.find(gate(80)));
  EXPECT_EQ(nullptr, traffic.find(gate(1000)));
}

}  // namespace
}  // namespace hg::tunnel
