// The controller alone, round by round: one acknowledgement answers all that was sent a round trip ago.
#include "udx/cc/bbr.h"

#include <gtest/gtest.h>

namespace hg::udx::cc {
namespace {

constexpr Duration kRtt = 100ms;
constexpr size_t kPacket = 1500;

struct Round {
  size_t delivered;
  size_t lost = 0;
  bool app_limited = false;
  Duration rtt = kRtt;
};

class BbrRounds : public testing::Test {
 protected:
  void pass(const Round& round) {
    bbr_.on_sent(now_, 0, false);
    now_ += round.rtt;
    const uint64_t prior = delivered_;
    delivered_ += round.delivered;
    bbr_.on_ack({.now = now_,
                 .acked = round.delivered,
                 .lost = round.lost,
                 .in_flight = 0,
                 .prior_in_flight = round.delivered + round.lost,
                 .delivered_total = delivered_,
                 .rtt = round.rtt,
                 .rate = {.valid = true,
                          .prior_delivered = prior,
                          .delivered = round.delivered,
                          .lost = round.lost,
                          .in_flight_at_send = round.delivered + round.lost,
                          .app_limited = round.app_limited,
                          .interval = round.rtt}});
  }
  void fill(int doublings) {
    bbr_.set_packet_size(kPacket);
    for (size_t bytes = 32 * kPacket; doublings-- > 0; bytes *= 2) pass({.delivered = full_ = bytes});
  }

  Bbr bbr_{1};
  TimePoint now_{1s};
  uint64_t delivered_ = 0;
  size_t full_ = 0;
};

TEST_F(BbrRounds, StartupEndsWhenTheRateGrowsNoMore) {
  fill(5);
  ASSERT_EQ(bbr_.state(), Bbr::State::kStartup);
  for (int i = 0; i < 3; ++i) pass({.delivered = full_});
  EXPECT_NE(bbr_.state(), Bbr::State::kStartup);
}

TEST_F(BbrRounds, StartupSurvivesOneRoundOfLosses) {
  fill(3);
  pass({.delivered = full_, .lost = full_ / 2});
  pass({.delivered = 4 * full_});
  pass({.delivered = 4 * full_, .lost = 2 * full_});
  EXPECT_EQ(bbr_.state(), Bbr::State::kStartup);
  EXPECT_GE(bbr_.bandwidth(), 4 * static_cast<double>(full_) / to_seconds(kRtt));
}

// A sender that runs dry between bursts says nothing about the path's rate, but its losses say that the path is full.
TEST_F(BbrRounds, StartupEndsByLossesEvenWhereTheSenderRunsDry) {
  fill(5);
  for (int i = 0; i < 3; ++i) {
    pass({.delivered = full_, .lost = full_ / 5, .app_limited = true});
    pass({.delivered = full_, .app_limited = true});
  }
  EXPECT_NE(bbr_.state(), Bbr::State::kStartup);
}

}  // namespace
}  // namespace hg::udx::cc
