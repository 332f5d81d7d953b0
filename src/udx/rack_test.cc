#include "udx/rack.h"

#include <gtest/gtest.h>

namespace hg::udx {
namespace {

class RackTest : public testing::Test {
 protected:
  static constexpr Duration kRtt = 40ms;
  RackTest() { rtt_.add(kRtt, at_); }

  /// A packet that took `rtt`.
  void deliver(Seq seq, Duration rtt) { rack_.on_delivered(seq, at_ + seq * 1ms, false, at_ + seq * 1ms + rtt, rtt_); }
  void late_twice(Duration by) {
    for (int i = 0; i < 2; ++i) rack_.on_late(by, at_ += 2 * kRtt);
  }
  Duration window(bool recovering = true) const { return rack_.window(recovering, 0, rtt_); }

  TimePoint at_{1s};
  RttEstimator rtt_;
  Rack rack_;
};

TEST_F(RackTest, NoWindowInRecoveryWhereNothingWasReordered) {
  deliver(1, kRtt);
  deliver(2, kRtt);
  EXPECT_EQ(0ms, window());
  EXPECT_EQ(kRtt / 4, window(false));
}

TEST_F(RackTest, WindowIsOneAndAHalfTimesTheLateness) {
  deliver(2, kRtt);
  deliver(1, kRtt + 8ms);
  deliver(102, kRtt);
  deliver(101, kRtt + 8ms);
  EXPECT_EQ(12ms, window());
}

TEST_F(RackTest, OneHostThatHesitatedProvesNothing) {
  deliver(1, kRtt);
  late_twice(2ms);
  at_ += 1s;
  for (int i = 0; i < 5; ++i) rack_.on_late(30ms, at_ + i * 1ms);
  EXPECT_EQ(3ms, window());
  rack_.on_late(2ms, at_ += 1s);
  EXPECT_EQ(3ms, window());
}

TEST_F(RackTest, SwappedByAHairCostsNextToNothing) {
  deliver(2, kRtt);
  deliver(1, kRtt + 100us);
  EXPECT_EQ(Rack::kLeastWindow, window());
}

TEST_F(RackTest, NeverMoreThanARoundTrip) {
  late_twice(10s);
  EXPECT_EQ(kRtt, window());
}

TEST_F(RackTest, LatenessIsForgottenByHalves) {
  late_twice(8ms);
  for (int i = 0; i < Rack::kWindowPersist - 1; ++i) rack_.on_recovery_end();
  EXPECT_EQ(12ms, window());
  rack_.on_recovery_end();
  EXPECT_EQ(6ms, window());
  late_twice(5ms);
  EXPECT_EQ(7500us, window());
}

}  // namespace
}  // namespace hg::udx
