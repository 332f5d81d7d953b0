#include "app/reachability.h"

#include <gtest/gtest.h>

namespace hg::app {
namespace {

using namespace std::chrono_literals;

TEST(Reachability, OutlastsALapseButNotALoss) {
  Reachability reach;
  TimePoint now{1h};
  const auto after = [&](Duration span, bool reachable) { return reach.review(reachable, now += span); };
  EXPECT_FALSE(after(5s, false));
  EXPECT_TRUE(after(5s, true)) << "at once";
  EXPECT_TRUE(after(5s, false));
  EXPECT_TRUE(after(29s, false));
  EXPECT_TRUE(after(0s, true));
  EXPECT_TRUE(after(5s, false)) << "the next lapse is counted anew";
  EXPECT_TRUE(after(29s, false));
  EXPECT_FALSE(after(1s, false));
  EXPECT_FALSE(after(60s, false));
  EXPECT_TRUE(after(5s, true));
}

}  // namespace
}  // namespace hg::app
