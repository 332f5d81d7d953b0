#include "peer/random_punch_guard.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace hg::peer {
namespace {

using Guard = RandomPunchGuard;

constexpr uint32_t kHost = 0x09000001;
constexpr uint32_t kOther = 0x09000002;

class RandomPunches : public ::testing::Test {
 protected:
  void begin(std::optional<uint32_t> host) {
    guard_.begin(now_, host, [this] {
      gave_way_++;
      guard_.end(now_, false);
    });
  }
  /// One for `host` that takes so long and comes to nothing.
  void fail(uint32_t host, Duration took = 20s) {
    ASSERT_TRUE(guard_.may_begin(now_, host));
    begin(host);
    now_ += took;
    guard_.end(now_, false);
  }
  /// After the last failure.
  Duration wait_of(uint32_t host) const {
    Duration wait{};
    while (!guard_.may_begin(now_ + wait, host)) wait += 1s;
    return wait;
  }

  Guard guard_;
  TimePoint now_{1h};
  int gave_way_ = 0;
};

TEST_F(RandomPunches, OneRunsAtATime) {
  begin(kHost);
  now_ += Guard::kTurn - 1ms;
  for (const auto host : {std::optional(kHost), std::optional(kOther), std::optional<uint32_t>()})
    EXPECT_FALSE(guard_.may_begin(now_, host));
}

TEST_F(RandomPunches, OneForAHostGivesWayAfterItsTurn) {
  for (const auto next : {std::optional(kOther), std::optional<uint32_t>()}) {
    begin(kHost);
    now_ += Guard::kTurn;
    EXPECT_FALSE(guard_.may_begin(now_, kHost)) << "not to itself";
    ASSERT_TRUE(guard_.may_begin(now_, next));
    begin(next);
    EXPECT_EQ(std::exchange(gave_way_, 0), 1);
    now_ += 1s;
    guard_.end(now_, true);
    now_ += 1h;
  }
}

TEST_F(RandomPunches, OurOwnGivesWayToNobody) {
  begin({});
  now_ += 30s;
  EXPECT_FALSE(guard_.may_begin(now_, kHost));
  EXPECT_FALSE(guard_.may_begin(now_, {}));
}

TEST_F(RandomPunches, AHostWaitsTwiceAsLongAfterEachThatCameToNothing) {
  for (const Duration wait : {Duration(20s), Duration(40s), Duration(80s), Duration(160s), Guard::kMostWait, Guard::kMostWait}) {
    fail(kHost);
    EXPECT_EQ(wait_of(kOther), 5s);
    EXPECT_EQ(wait_of(kHost), wait);
    now_ += wait;
  }
  now_ += Guard::kForgetAfter;
  fail(kHost);
  EXPECT_EQ(wait_of(kHost), 20s) << "forgotten";
}

TEST_F(RandomPunches, ThoseThatAreCalledOffEarlyCostAsMuchAsTheyTook) {
  for (int i = 0; i < 5; ++i) {
    fail(kHost, 2s);
    EXPECT_EQ(wait_of(kHost), 2s);
    now_ += 2s;
  }
  fail(kHost);
  EXPECT_EQ(wait_of(kHost), 20s);
  now_ += 20s;
  fail(kHost, 2s);
  EXPECT_EQ(wait_of(kHost), 2s);
  now_ += 2s;
  fail(kHost, Guard::kTurn);
  EXPECT_EQ(wait_of(kHost), 40s) << "it had its turn";
}

TEST_F(RandomPunches, AFoundPathCostsTheHostNothing) {
  begin(kHost);
  now_ += 4s;
  guard_.end(now_, true);
  EXPECT_EQ(wait_of(kHost), 1s);
}

TEST_F(RandomPunches, AFoundPathMakesGoodForThoseBefore) {
  fail(kHost);
  now_ += 20s;
  fail(kHost);
  now_ += 40s;
  begin(kHost);
  now_ += 4s;
  guard_.end(now_, true);
  now_ += 1s;
  fail(kHost);
  EXPECT_EQ(wait_of(kHost), 20s);
}

TEST_F(RandomPunches, SoManyHostsAreRemembered) {
  fail(kHost);
  now_ += 20s;
  fail(kHost);
  for (uint32_t i = 1; i <= Guard::kMaxHosts; ++i) {
    EXPECT_FALSE(guard_.may_begin(now_, kHost)) << i;
    begin(kHost + i);
    guard_.end(now_, false);
  }
  EXPECT_TRUE(guard_.may_begin(now_ + 20s, kHost));
}

}  // namespace
}  // namespace hg::peer
