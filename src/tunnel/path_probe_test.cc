#include "tunnel/path_probe.h"

#include <gtest/gtest.h>

#include "support/tunnel_members.h"
#include "tunnel/node.h"

namespace hg::tunnel {
namespace {

using namespace test;

using PathProbeTest = MembersTest;

TEST_F(PathProbeTest, MeasuresBothWays) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(80)});
  connect(gateway, 1, provider, 2, {.delay = 5ms, .bytes_per_second = 1e6});
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 1; }));
  const PublicKey peer = gateway.node->peers().front().key;
  std::optional<PathProbe::Result> result;
  ASSERT_TRUE(gateway.node->probe(peer, 1'000'000, [&](const PathProbe::Result& r) { result = r; }));
  EXPECT_FALSE(gateway.node->probe(peer, 1'000'000, {})) << "one at a time";
  ASSERT_TRUE(wait([&] { return result.has_value(); }));
  EXPECT_EQ(result->bytes, 1'000'000u);
  EXPECT_NEAR(to_seconds(result->up), 1.0, 0.1);
  EXPECT_NEAR(to_seconds(result->down), 1.0, 0.1);
  EXPECT_TRUE(gateway.node->probe(peer, 1, {})) << "and again";
}

TEST_F(PathProbeTest, OnlyProvidersThatListItAreAsked) {
  Member gateway(host_, true, false), other(host_, true, false);
  connect(gateway, 1, other, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->peers().size() == 1 && gateway.node->peers().front().ready; }));
  EXPECT_FALSE(gateway.node->probe(gateway.node->peers().front().key, 1000, {}));
  EXPECT_FALSE(gateway.node->probe(PublicKey{9}, 1000, {}));
}

TEST(PathProbe, WhatAPeerGetsIsBounded) {
  uint64_t sent = 0;
  bool room = true;
  PathProbe probe([&] { return room; }, [&](uint32_t, size_t filler) { sent += filler; });
  const Bytes ask{0xff, 0xff, 0xff, 0xff};
  EXPECT_FALSE(probe.on_message(Bytes{0, 0, 1}, TimePoint{}));
  room = false;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(probe.on_message(ask, TimePoint{}));
  EXPECT_EQ(sent, 0u) << "nothing is queued behind a full connection";
  room = true;
  probe.pump();
  EXPECT_EQ(sent, PathProbe::kMaxBytes);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(probe.on_message(ask, TimePoint{}));
  EXPECT_EQ(sent, PathProbe::kMaxAnswered);
  EXPECT_FALSE(probe.ask(PathProbe::kMaxBytes + 1, TimePoint{}, [](const auto&) {}));
  EXPECT_FALSE(probe.ask(0, TimePoint{}, [](const auto&) {}));
}

}  // namespace
}  // namespace hg::tunnel
