#include "app/traffic_rate.h"

#include <gtest/gtest.h>

#include "sim/world.h"

namespace hg::app {
namespace {

class TrafficRateTest : public testing::Test {
 protected:
  sim::World world_{1};
  sim::Host& host_ = world_.add_host("10.0.0.1");
  PublicKey peer_{};
  TrafficRate::Reading now_;
  TrafficRate rate_{host_, [this] { return now_; }};
};

TEST_F(TrafficRateTest, SaysNothingBeforeItKnows) {
  EXPECT_FALSE(rate_.total(now_.total));
  world_.run_for(2s);
  ASSERT_TRUE(rate_.total({2000, 0}));
  EXPECT_EQ(1000, rate_.total({2000, 0})->out);
  EXPECT_EQ(500, rate_.of_peer(peer_, {0, 1000})->in) << "it has come since";
}

TEST_F(TrafficRateTest, WhatWasLongAgoCountsNoMore) {
  now_.total = {1e9, 1e9};
  world_.run_for(60s);
  EXPECT_EQ(0, rate_.total({1e9, 1e9})->out);
  const auto lately = rate_.total({1e9 + 15000, 1e9});
  EXPECT_GE(lately->out, 1000) << "over at most 15 s";
  EXPECT_LE(lately->out, 1500) << "over at least 10 s";
  EXPECT_EQ(0, lately->in);
}

TEST_F(TrafficRateTest, APeerThatCameAgainCountsAnew) {
  now_.peers[peer_] = {5000, 5000};
  world_.run_for(22s);
  const double unit = rate_.of_peer(peer_, {5001, 5000})->out;
  EXPECT_GT(unit, 0);
  EXPECT_DOUBLE_EQ(10 * unit, rate_.of_peer(peer_, {10, 65000})->out);
  EXPECT_DOUBLE_EQ(65000 * unit, rate_.of_peer(peer_, {10, 65000})->in);
}

TEST_F(TrafficRateTest, OfAGateOrServiceToo) {
  EXPECT_FALSE(rate_.of_part(nullptr));
  const auto part = std::make_shared<tunnel::Traffic>(tunnel::Traffic{5000, 1'000'000});
  now_.parts[part] = both_ways(*part);
  world_.run_for(60s);
  EXPECT_EQ(0, rate_.of_part(part)->out);
  ASSERT_TRUE(rate_.of_part(nullptr)) << "nobody has come to it, and that is known";
  EXPECT_EQ(0, rate_.of_part(nullptr)->in);
  part->from_peers += 15000;
  EXPECT_GE(rate_.of_part(part)->in, 1000);
  EXPECT_LE(rate_.of_part(part)->in, 1500);
  EXPECT_EQ(0, rate_.of_part(part)->out);
}

TEST_F(TrafficRateTest, WhatIsGoneIsNotTakenForWhatCameInItsPlace) {
  auto part = std::make_shared<tunnel::Traffic>(tunnel::Traffic{1'000'000, 0});
  now_.parts[part] = both_ways(*part);
  world_.run_for(22s);
  now_.parts.clear();
  part.reset();
  part = std::make_shared<tunnel::Traffic>(tunnel::Traffic{1'000'000, 0});
  EXPECT_GE(rate_.of_part(part)->out, 1'000'000 / 15);
}

}  // namespace
}  // namespace hg::app
