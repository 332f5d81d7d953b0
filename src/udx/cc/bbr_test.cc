// The controller alone, round by round: one acknowledgement answers all that was sent a round trip ago.
#include "udx/cc/bbr.h"

#include <gtest/gtest.h>

#include <array>

namespace hg::udx::cc {
namespace {

constexpr Duration kRtt = 100ms;
constexpr size_t kPacket = 1500;

struct Round {
  size_t delivered;
  size_t lost = 0;
  bool app_limited = false;
  Duration rtt = kRtt;
  size_t in_flight = 0;  // afterwards
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
                 .in_flight = round.in_flight,
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

  void reach(Bbr::State state) {
    for (int i = 0; i < 40 && bbr_.state() != state; ++i) pass({.delivered = full_});
    ASSERT_EQ(bbr_.state(), state);
  }
  void cruise_after_a_probe() {
    fill(5);
    reach(Bbr::State::kProbeUp);
    reach(Bbr::State::kProbeCruise);
    rate_ = bbr_.bandwidth();
  }
  /// Cruises where the delay swings, and meets a queue that delivers this part of the rate to us.
  void yield_where_the_delay_swings(double part) {
    fill(5);
    int i = 0;
    const auto next = [&](double of_the_rate) {
      Round round = queued(i++ % 2 == 0 ? 1.0 : 1.1);
      round.delivered = static_cast<size_t>(of_the_rate * static_cast<double>(round.delivered));
      pass(round);
    };
    while (i < 60 || (i < 200 && bbr_.state() != Bbr::State::kProbeUp)) next(1);
    while (i < 200 && bbr_.state() != Bbr::State::kProbeCruise) next(1);
    rate_ = bbr_.bandwidth();
    for (int rounds = 0; rounds < 2; ++rounds) next(part);
    Round round = queued(2);
    round.delivered = static_cast<size_t>(part * static_cast<double>(round.delivered));
    pass(round);
    ASSERT_LT(bbr_.bandwidth(), 0.9 * rate_);
    ASSERT_EQ(bbr_.state(), Bbr::State::kProbeCruise);
  }
  /// From a probe on hardly anything arrives, until what came before is forgotten; with or without a timeout.
  void go_hungry(bool silent) {
    cruise_after_a_probe();
    reach(Bbr::State::kProbeUp);
    const auto until = [&](bool up) {
      for (int i = 0; i < 40 && (bbr_.state() == Bbr::State::kProbeUp) != up; ++i) pass({.delivered = full_ / 20});
    };
    until(false);
    until(true);
    if (silent) bbr_.on_retransmission_timeout(full_);
    until(false);
    until(true);
    ASSERT_EQ(bbr_.state(), Bbr::State::kProbeUp);
  }
  void stand_until_probe_rtt() {
    fill(5);
    for (int i = 0; i < 200 && bbr_.state() != Bbr::State::kProbeRtt; ++i) pass(queued(1.3));
    ASSERT_EQ(bbr_.state(), Bbr::State::kProbeRtt);
    pass(queued(1.3));
  }
  /// A whole probe, each round trip swollen by one of the two in turn; then one more with this part of a round still in flight.
  void probe_and_drain(std::array<double, 2> swellings, double in_flight) {
    int i = 0;
    const auto next = [&] { pass(queued(swellings[static_cast<size_t>(i++ % 2)])); };
    while (i < 60 || (i < 200 && bbr_.state() != Bbr::State::kProbeUp)) next();
    while (i < 200 && bbr_.state() == Bbr::State::kProbeUp) next();
    ASSERT_EQ(bbr_.state(), Bbr::State::kProbeDown);
    Round round = queued(swellings[0]);
    round.in_flight = static_cast<size_t>(in_flight * static_cast<double>(full_));
    pass(round);
  }
  /// By how much the window grows when a probe begins, each round trip swollen by one of the two in turn.
  double growth_of_a_probe(std::array<double, 2> swellings) {
    fill(5);
    int i = 0;
    double before = 0;
    while (i < 60 || (i < 200 && bbr_.state() != Bbr::State::kProbeUp)) {
      before = static_cast<double>(bbr_.window()) / bbr_.bandwidth();
      pass(queued(swellings[static_cast<size_t>(i++ % 2)]));
    }
    return static_cast<double>(bbr_.window()) / bbr_.bandwidth() / before;
  }
  /// At the same rate, but through a queue.
  Round queued(double swelling, size_t lost = 0) const {
    return {.delivered = static_cast<size_t>(static_cast<double>(full_) * swelling),
            .lost = lost,
            .rtt = std::chrono::duration_cast<Duration>(kRtt * swelling)};
  }

  Bbr bbr_{1};
  TimePoint now_{1s};
  uint64_t delivered_ = 0;
  size_t full_ = 0;  // bytes of a round at the path's rate
  double rate_ = 0;
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

TEST_F(BbrRounds, CruisingSendsWhatThePathDeliversAndWhatItLoses) {
  cruise_after_a_probe();
  EXPECT_NEAR(bbr_.pacing_rate(), rate_, 0.001 * rate_);
  for (int i = 0; i < 60; ++i) pass({.delivered = full_, .lost = full_ / 99});
  for (int i = 0; i < 40 && bbr_.state() != Bbr::State::kProbeCruise; ++i) pass({.delivered = full_, .lost = full_ / 99});
  EXPECT_NEAR(bbr_.pacing_rate(), bbr_.bandwidth() / 0.99, 0.002 * rate_);
}

TEST_F(BbrRounds, QueueMetWhileCruisingIsYieldedTo) {
  cruise_after_a_probe();
  pass(queued(1.35));
  EXPECT_GE(bbr_.bandwidth(), rate_) << "what arrives first was sent while draining";
  for (int i = 0; i < 3; ++i) pass(queued(1.35));
  EXPECT_LE(bbr_.bandwidth(), 0.9 * rate_);
}

TEST_F(BbrRounds, WhereTheDelaySwingsAQueueOfOurOwnThatIsGoneIsFollowedByAProbe) {
  yield_where_the_delay_swings(1.0);
  pass({.delivered = full_ * 8 / 10});
  EXPECT_EQ(bbr_.state(), Bbr::State::kProbeRefill);
}

TEST_F(BbrRounds, WhereTheDelaySwingsAQueueOfOthersIsNot) {
  yield_where_the_delay_swings(0.7);
  pass({.delivered = full_ * 6 / 10});
  EXPECT_EQ(bbr_.state(), Bbr::State::kProbeCruise);
}

TEST_F(BbrRounds, QueueThatOurProbeLeftIsNotYieldedTo) {
  fill(5);
  reach(Bbr::State::kProbeUp);
  reach(Bbr::State::kProbeDown);
  rate_ = bbr_.bandwidth();
  for (int i = 0; i < 4; ++i) {
    Round round = queued(1.3);
    round.in_flight = 2 * full_;
    pass(round);
    ASSERT_EQ(bbr_.state(), Bbr::State::kProbeDown);
  }
  EXPECT_GE(bbr_.bandwidth(), rate_);
}

TEST_F(BbrRounds, QueueThatOverflowsIsYieldedToHoweverShallow) {
  cruise_after_a_probe();
  pass(queued(1.1, full_ / 12));
  EXPECT_LE(bbr_.bandwidth(), 0.9 * rate_);
}

TEST_F(BbrRounds, LossWithoutAQueueIsNot) {
  cruise_after_a_probe();
  pass({.delivered = full_, .lost = full_ / 12});
  EXPECT_GE(bbr_.bandwidth(), rate_);
}

TEST_F(BbrRounds, WhatTheStartupOverflowedIsNotYieldedTo) {
  fill(5);
  reach(Bbr::State::kProbeCruise);
  rate_ = bbr_.bandwidth();
  pass(queued(1.1, full_ / 12));
  EXPECT_GE(bbr_.bandwidth(), rate_);
}

TEST_F(BbrRounds, WhereTheDelaySwingsAProbeIsDrainedToTheUsualRoundTrip) {
  fill(5);
  probe_and_drain({1.0, 1.4}, 1.1);
  EXPECT_EQ(bbr_.state(), Bbr::State::kProbeCruise);
}

TEST_F(BbrRounds, WhereTheDelayIsSteadyAProbeHasMoreWindow) { EXPECT_GT(growth_of_a_probe({1.0, 1.0}), 1.02); }

TEST_F(BbrRounds, WhereTheDelaySwingsItHasNot) { EXPECT_LE(growth_of_a_probe({1.0, 1.4}), 1.0); }

TEST_F(BbrRounds, WhatHostsAddNeedsNoDraining) {
  cruise_after_a_probe();
  probe_and_drain({1.015, 1.015}, 1.013);
  EXPECT_EQ(bbr_.state(), Bbr::State::kProbeCruise);
}

TEST_F(BbrRounds, QueueOfOurOwnIsDrainedWhereTheDelayIsSteady) {
  cruise_after_a_probe();
  probe_and_drain({1.1, 1.1}, 1.05);
  EXPECT_EQ(bbr_.state(), Bbr::State::kProbeDown);
}

// The very minimum is rare there, but nothing stands in a queue.
TEST_F(BbrRounds, WhereTheDelaySwingsTheMinimumIsNotProbedFor) {
  fill(5);
  for (int i = 0; i < 400; ++i) {
    pass(queued(i % 2 == 0 ? 1.2 : 1.35));
    ASSERT_NE(bbr_.state(), Bbr::State::kProbeRtt) << i;
  }
  EXPECT_EQ(bbr_.min_rtt(), kRtt);
}

TEST_F(BbrRounds, QueueThatStandsIsDrainedOnceInAWhile) {
  stand_until_probe_rtt();
  EXPECT_LE(static_cast<double>(bbr_.window()), 0.51 * static_cast<double>(full_));
}

TEST_F(BbrRounds, ProbeOfTheMinimumEndsWithATimeout) {
  stand_until_probe_rtt();
  bbr_.on_retransmission_timeout(0);
  pass({.delivered = kPacket});
  EXPECT_EQ(bbr_.state(), Bbr::State::kProbeCruise);
  EXPECT_GE(bbr_.window(), full_);
}

TEST_F(BbrRounds, AnswerAfterATimeoutRestoresTheWindow) {
  cruise_after_a_probe();
  const size_t window = bbr_.window();
  bbr_.on_retransmission_timeout(0);
  ASSERT_LE(bbr_.window(), kPacket);
  bbr_.on_path_back(now_);
  EXPECT_EQ(bbr_.window(), window);
}

TEST_F(BbrRounds, PathThatBecameSlowIsBelieved) {
  go_hungry(false);
  EXPECT_LE(bbr_.bandwidth(), 0.1 * rate_);
}

TEST_F(BbrRounds, SilenceProvesLittle) {
  go_hungry(true);
  EXPECT_GE(bbr_.bandwidth(), 0.69 * rate_);
}

TEST_F(BbrRounds, CutThatHelpsIsKeptUntilTheNextProbe) {
  cruise_after_a_probe();
  for (int i = 0; i < 2; ++i) pass({.delivered = full_ * 7 / 10, .lost = full_ * 3 / 10});
  ASSERT_LE(bbr_.bandwidth(), 0.75 * rate_);
  for (int i = 0; i < 3; ++i) {
    pass({.delivered = full_ * 7 / 10});
    ASSERT_EQ(bbr_.state(), Bbr::State::kProbeCruise);
  }
  EXPECT_LE(bbr_.bandwidth(), 0.75 * rate_);
}

TEST_F(BbrRounds, CutThatDoesNotHelpIsTakenBack) {
  cruise_after_a_probe();
  for (int i = 0; i < 2; ++i) pass({.delivered = full_ * 7 / 10, .lost = full_ * 3 / 10});
  ASSERT_LE(bbr_.bandwidth(), 0.75 * rate_);
  for (int i = 0; i < 3; ++i) pass({.delivered = full_ / 2, .lost = i == 1 ? full_ / 20 : full_ / 4});  // a lucky round in between
  EXPECT_GE(bbr_.bandwidth(), rate_);
}

TEST_F(BbrRounds, CutIsNotJudgedByAHandfulOfPackets) {
  bbr_.set_packet_size(kPacket);
  full_ = 14 * kPacket;
  reach(Bbr::State::kProbeUp);
  reach(Bbr::State::kProbeCruise);
  rate_ = bbr_.bandwidth();
  for (int i = 0; i < 5; ++i) {
    pass({.delivered = 8 * kPacket, .lost = 6 * kPacket});
    ASSERT_EQ(bbr_.state(), Bbr::State::kProbeCruise);
  }
  EXPECT_LE(bbr_.bandwidth(), 0.85 * rate_);
}

}  // namespace
}  // namespace hg::udx::cc
