#include "dht/health.h"

#include <gtest/gtest.h>

namespace hg::dht {
namespace {

TEST(Health, WindowRules) {
  HealthMonitor monitor;
  uint64_t responses = 0;
  uint64_t timeouts = 0;
  const auto tick = [&](uint64_t answered, uint64_t silent) { return monitor.update(responses += answered, timeouts += silent); };
  for (int i = 0; i < 4; ++i) EXPECT_EQ(tick(10, 0), Health::kOnline);
  EXPECT_EQ(tick(0, 10), Health::kOnline);
  EXPECT_EQ(tick(0, 3), Health::kOnline) << "idle ticks say nothing";
  EXPECT_EQ(tick(0, 10), Health::kOffline);
  EXPECT_EQ(tick(4, 10), Health::kOnline);
  EXPECT_EQ(tick(4, 10), Health::kOnline);
  EXPECT_EQ(tick(4, 10), Health::kOnline);
  EXPECT_EQ(tick(4, 10), Health::kDegraded);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(tick(10, 0), Health::kDegraded);
  EXPECT_EQ(tick(10, 0), Health::kOnline);
}

}  // namespace
}  // namespace hg::dht
