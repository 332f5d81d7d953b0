// What a late wake-up makes up for, and what idling does not save.
#include "udx/pacer.h"

#include <gtest/gtest.h>

namespace hg::udx {
namespace {

constexpr double kRate = 1e6;  // bytes a second: 1,000 a millisecond
constexpr double kQuantum = 1000;
constexpr Duration kRoundTrip = 100ms;

/// All that may leave at `now`.
double spend_all(Pacer& pacer, TimePoint now, Duration round_trip = kRoundTrip) {
  pacer.refill(now, kRate, kQuantum, round_trip);
  const double credit = pacer.credit();
  pacer.spend(static_cast<size_t>(credit));
  return credit;
}

struct PacerTest : testing::Test {
  PacerTest() { spend_all(pacer, start); }
  Pacer pacer;
  TimePoint start = TimePoint{} + 1h;
};

TEST_F(PacerTest, WakesForAQuantum) { EXPECT_EQ(pacer.wait(), start + 1ms + Duration(1)); }

TEST_F(PacerTest, WhoWasWokenLateSendsWhatWasDue) {
  pacer.wait();
  EXPECT_DOUBLE_EQ(spend_all(pacer, start + 7ms), 7000);
}

TEST_F(PacerTest, ButNoMoreThanTenMilliseconds) {
  pacer.wait();
  EXPECT_DOUBLE_EQ(spend_all(pacer, start + 50ms), 10000);
}

TEST_F(PacerTest, OrAQuarterOfTheRoundTrip) {
  pacer.wait();
  EXPECT_DOUBLE_EQ(spend_all(pacer, start + 50ms, 20ms), 5000);
}

TEST_F(PacerTest, WhoHadNothingToSendSavesLittle) { EXPECT_DOUBLE_EQ(spend_all(pacer, start + 50ms), 2000); }

}  // namespace
}  // namespace hg::udx
