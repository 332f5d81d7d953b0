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

TEST_F(PacerTest, TheRestLeavesALittleAboveTheRate) {
  pacer.wait();
  spend_all(pacer, start + 20ms);
  double repaid = 0;
  for (auto at = start + 21ms; at <= start + 80ms; at += 1ms) {
    pacer.wait();
    const double sent = spend_all(pacer, at);
    EXPECT_LE(sent, 1251);
    repaid += sent - 1000;
  }
  EXPECT_NEAR(repaid, 10000, 60);
}

TEST_F(PacerTest, NoMoreThanARoundTripIsOwed) {
  pacer.wait();
  spend_all(pacer, start + 1s, 20ms);
  double repaid = 0;
  for (auto at = start + 1001ms; at <= start + 1200ms; at += 1ms) {
    pacer.wait();
    repaid += spend_all(pacer, at, 20ms) - 1000;
  }
  EXPECT_NEAR(repaid, 20000, 200);
}

TEST_F(PacerTest, WhoIdlesIsOwedNothing) {
  pacer.wait();
  spend_all(pacer, start + 20ms);
  EXPECT_DOUBLE_EQ(spend_all(pacer, start + 50ms), 2000);
  EXPECT_DOUBLE_EQ(spend_all(pacer, start + 51ms), 1000);
}

// The queue may be shorter than what is due: it is filled again in the same turn.
TEST_F(PacerTest, WhatCouldNotBeSentAtOnceCanBeSoonAfter) {
  pacer.wait();
  pacer.refill(start + 7ms, kRate, kQuantum, kRoundTrip);
  pacer.spend(3000);
  EXPECT_DOUBLE_EQ(spend_all(pacer, start + 7ms), 4000);
}

TEST_F(PacerTest, SaysHowLateItIs) {
  EXPECT_EQ(pacer.late(), Duration{});
  pacer.wait();
  spend_all(pacer, start + 7ms);
  EXPECT_EQ(pacer.late(), 6ms - Duration(1));
  spend_all(pacer, start + 8ms);
  EXPECT_EQ(pacer.late(), Duration{});
}

TEST_F(PacerTest, WhoHadNothingToSendSavesLittle) { EXPECT_DOUBLE_EQ(spend_all(pacer, start + 50ms), 2000); }

}  // namespace
}  // namespace hg::udx
