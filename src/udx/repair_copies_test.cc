#include "udx/repair_copies.h"

#include <gtest/gtest.h>

namespace hg::udx {
namespace {

constexpr Duration kRtt = 400ms;

RepairCopies with_losses(int packets, int lost_of_a_thousand) {
  RepairCopies copies;
  for (int i = 0; i < packets; ++i) i* lost_of_a_thousand % 1000 < lost_of_a_thousand ? copies.on_lost() : copies.on_delivered();
  return copies;
}

TEST(RepairCopies, WorthTheirBytesWhereEveryRoundLosesPackets) {
  const RepairCopies copies = with_losses(4000, 10);
  EXPECT_TRUE(copies.worthwhile(1000));
  EXPECT_FALSE(copies.worthwhile(100));
}

TEST(RepairCopies, NotWhereTheyWouldCostMuch) { EXPECT_FALSE(with_losses(4000, 80).worthwhile(1000)); }

TEST(RepairCopies, NotBeforeTheLossIsKnown) { EXPECT_FALSE(with_losses(200, 20).worthwhile(1000)); }

TEST(RepairCopies, LossLongAgoIsForgotten) {
  RepairCopies copies = with_losses(4000, 20);
  ASSERT_TRUE(copies.worthwhile(1000));
  for (int i = 0; i < 8000; ++i) copies.on_delivered();
  EXPECT_FALSE(copies.worthwhile(1000));
}

TEST(RepairCopies, ComeAQuarterOfARoundTripLaterInOrder) {
  RepairCopies copies;
  const TimePoint start{1s};
  copies.on_repair(7, 70, start, kRtt);
  copies.on_repair(3, 71, start + 1ms, kRtt);
  EXPECT_FALSE(copies.take_due(start + 99ms));
  EXPECT_EQ(copies.next_due(), start + 100ms);
  const auto first = copies.take_due(start + 100ms);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->seq, 7u);
  EXPECT_EQ(first->order, 70u);
  EXPECT_FALSE(copies.take_due(start + 100ms));
  EXPECT_EQ(copies.take_due(start + 101ms)->seq, 3u);
  EXPECT_FALSE(copies.pending());
}

TEST(RepairCopies, WaitForThePacer) {
  RepairCopies copies;
  const TimePoint start{1s};
  copies.on_repair(7, 70, start, kRtt);
  copies.postpone(start + 120ms);
  EXPECT_EQ(copies.next_due(), start + 120ms);
  EXPECT_FALSE(copies.take_due(start + 110ms));
  EXPECT_TRUE(copies.take_due(start + 120ms));
}

TEST(RepairCopies, OnlySoManyWait) {
  RepairCopies copies;
  const TimePoint start{1s};
  for (uint32_t i = 0; i < RepairCopies::kMost + 10; ++i) copies.on_repair(i, i, start, kRtt);
  for (uint32_t i = 0; i < 10; ++i) ASSERT_TRUE(copies.take_due(start + kRtt));
  for (uint32_t i = 0; i < 20; ++i) copies.on_repair(5000 + i, i, start, kRtt);
  size_t taken = 10;
  while (copies.take_due(start + kRtt)) ++taken;
  EXPECT_EQ(taken, RepairCopies::kMost + 10);
}

}  // namespace
}  // namespace hg::udx
