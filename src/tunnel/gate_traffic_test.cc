#include "tunnel/gate_traffic.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace hg::tunnel
