// The ladder's links (bench/ladder/profiles.mjs) in virtual time: what a stream gets out of each, what it offers and what it holds.
#include <gtest/gtest.h>

#include "sim/world.h"
#include "udx/test_link.h"

namespace hg::udx {
namespace {

using sim::Path;
using Link = test::BasicLink<sim::World, sim::Host, Path>;

struct Profile {
  const char* name;
  double mbps;
  int rtt_ms;
  int jitter_ms;
  double loss_percent;
  int burst;
  double least_goodput;     // share of the rate, from the first byte on, mean of the seeds
  double most_dropped = 1;  // share of the packets, by the link's own loss and by its full queue
};

Path path_of(const Profile& p) {
  const double rate = p.mbps * 1e6;
  return {.delay = p.rtt_ms * 500us,
          .swing = p.jitter_ms * 1ms,
          .loss = p.loss_percent / 100,
          .burst = Duration(static_cast<int64_t>(p.burst * 1500 * 8 / rate * 1e9)),
          .rate_bps = rate,
          .queue_bytes = std::max<size_t>(45000, static_cast<size_t>(rate / 8 * p.rtt_ms / 1000))};
}

class Ladder : public testing::TestWithParam<Profile> {};

TEST_P(Ladder, UsesThePath) {
  const Profile& profile = GetParam();
  const Path path = path_of(profile);
  const int seconds = profile.rtt_ms < 200 ? 8 : 16;
  const int seeds = profile.mbps >= 100 ? 4 : profile.mbps >= 1 ? 24 : 60;
  double goodput = 0;
  double offered = 0;
  double most_held = 0;
  double usually_held = 0;
  double dropped = 0;
  for (int seed = 1; seed <= seeds; ++seed) {
    Link link(path, static_cast<uint64_t>(seed));
    link.a.content = link.b.content = false;
    link.a.send(20000, false, 4096);
    ASSERT_TRUE(link.until_received(20000, 60s));
    link.world.run_for(1s);
    const auto before = link.world.counters(link.ha, link.hb);
    link.a.send(1ull << 40, false, 4096);
    double most = 0;
    for (int i = 0; i < seconds * 10; ++i) {
      link.world.run_for(100ms);
      if (i > seconds * 3) most = std::max(most, static_cast<double>(link.a.sent - link.b.received));
    }
    const auto after = link.world.counters(link.ha, link.hb);
    const auto bytes = static_cast<double>(after.bytes - before.bytes + 28 * (after.sent - before.sent));
    goodput += static_cast<double>(link.b.received - 20000) * 8 / seconds / path.rate_bps / seeds;
    offered += bytes * 8 / seconds / path.rate_bps / seeds;
    most_held = std::max(most_held, most);
    usually_held += most / seeds;
    dropped += static_cast<double>(after.dropped - before.dropped) / static_cast<double>(after.sent - before.sent) / seeds;
  }
  EXPECT_GE(goodput, profile.least_goodput);
  EXPECT_LE(offered, 1.05);
  EXPECT_LE(dropped, profile.most_dropped);
  // Two products and 256 KB at most; on slow paths usually less, where the delay varies and the bandwidth looks larger than it is.
  const double rate = path.rate_bps / 8;
  const double product = rate * 2 * to_seconds(path.delay);
  const double most = 2 * product + 262144;
  const double usually = std::min(most, 3 * product + 2.2 * rate);
  EXPECT_LE(most_held, most);
  EXPECT_LE(usually_held, usually);
  RecordProperty("goodput_permille", static_cast<int>(goodput * 1000));
  RecordProperty("held_permille", static_cast<int>(1000 * usually_held / usually));
  RecordProperty("most_held_permille", static_cast<int>(1000 * most_held / most));
}

INSTANTIATE_TEST_SUITE_P(Profiles, Ladder,
                         testing::Values(Profile{"good_wifi", 100, 16, 0, 0.1, 0, 0.955},
                                         Profile{"hurried_wifi", 100, 16, 2, 0.1, 0, 0.945}, Profile{"fibre", 100, 40, 0, 1, 0, 0.93},
                                         Profile{"fat", 300, 100, 0, 0, 0, 0.88}, Profile{"fat_with_loss", 300, 100, 0, 0.1, 0, 0.84},
                                         Profile{"congested_wifi", 25, 40, 12, 1, 6, 0.925, 0.025},
                                         Profile{"weak_4G", 8, 90, 15, 2, 8, 0.91}, Profile{"slow_3G", 3, 200, 30, 3, 10, 0.905},
                                         Profile{"congested_cellular", 1.5, 300, 40, 5, 12, 0.88},
                                         Profile{"very_bad", 0.8, 450, 60, 8, 20, 0.845}, Profile{"satellite", 25, 600, 40, 1.5, 6, 0.55},
                                         Profile{"barely_usable", 0.5, 450, 80, 12, 25, 0.77},
                                         Profile{"absurd", 0.256, 800, 150, 25, 40, 0.425}),
                         [](const auto& param) { return param.param.name; });

// Both machines have other things to do four tenths of the time, as two cores with five who want them do: what the path could carry
// meanwhile is lost only in part.
class BusyMachines : public testing::TestWithParam<Profile> {
 protected:
  /// Share of the rate, mean of the seeds.
  static double goodput(const Path& path, const sim::Busy& busy) {
    constexpr int kSeeds = 12;
    double share = 0;
    for (int seed = 1; seed <= kSeeds; ++seed) {
      Link link(path, static_cast<uint64_t>(seed), {}, true, busy);
      link.a.content = link.b.content = false;
      link.a.send(1ull << 40, false, 4096);
      link.world.run_for(1s);
      share += link.rate_over(8s) / path.rate_bps / kSeeds;
    }
    RecordProperty("goodput_permille", static_cast<int>(share * 1000));
    return share;
  }
};

TEST_P(BusyMachines, UseMostOfThePath) {
  EXPECT_GE(goodput(path_of(GetParam()), {.between = 15ms, .longest = 20ms}), GetParam().least_goodput);
}

INSTANTIATE_TEST_SUITE_P(Profiles, BusyMachines,
                         testing::Values(Profile{"good_wifi", 100, 16, 0, 0.1, 0, 0.74}, Profile{"fibre", 100, 40, 0, 1, 0, 0.76},
                                         Profile{"congested_wifi", 25, 40, 12, 1, 6, 0.85}, Profile{"weak_4G", 8, 90, 15, 2, 8, 0.9}),
                         [](const auto& param) { return param.param.name; });

// More than half of the time: few round trips are the path's own, and who takes them for a queue yields to it again and again.
using OverloadedMachines = BusyMachines;

TEST_F(OverloadedMachines, DoNotYieldToThemselves) {
  EXPECT_GE(goodput(path_of({"good_wifi", 100, 16, 0, 0.1, 0, 0}), {.between = 15ms, .longest = 40ms}), 0.3);
}

TEST(Standstill, IsNotWhatTheWorstLinkDoes) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Link link(path_of({"absurd", 0.256, 800, 150, 25, 40, 0}), seed);
    link.a.content = link.b.content = false;
    link.a.stream->set_dead_after(90s);
    link.a.send(1ull << 40, false, 4096);
    link.world.run_for(1h);
    EXPECT_EQ(link.a.closes, 0) << seed;
  }
}

// What an aborted transfer left under way is in the way of the next answer: most of it is lost, and who waits for timeouts waits long.
TEST(Aborted, NextAnswerIsNotHeldUpLong) {
  constexpr int kSeeds = 200;
  constexpr Duration kInTime = 2s + 5 * 800ms;
  int late = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Link link(path_of({"absurd", 0.256, 800, 150, 25, 40, 0}), seed);
    link.a.content = link.b.content = false;
    link.a.send(1ull << 40, false, 4096);
    link.world.run_for(15s);
    link.a.to_send = link.a.sent;
    const TimePoint start = link.world.now();
    link.b.send(40);
    ASSERT_TRUE(link.world.run_until([&] { return link.a.received == 40; }, 120s));
    link.a.send(500);
    ASSERT_TRUE(link.until_received(link.a.sent, 120s));
    if (link.world.now() - start > kInTime) ++late;
  }
  RecordProperty("late", late);
  EXPECT_LE(late, 0.25 * kSeeds);
}

struct Shared {
  const char* name;
  double mbps;
  int rtt_ms;
  double queue;         // in BDP
  double least_share;   // of the newcomer, over its first ten seconds, mean of the seeds: three standard errors below what is reached
  double most_dropped;  // share of the packets of both
  int jitter_ms = 0;
  double loss_percent = 0;
  int burst = 0;
  Duration busy{};  // the machines, now and then, for up to this
};

class Newcomer : public testing::TestWithParam<Shared> {};

TEST_P(Newcomer, GetsItsShareBesideAnother) {
  const Shared& shared = GetParam();
  Path path = path_of({shared.name, shared.mbps, shared.rtt_ms, shared.jitter_ms, shared.loss_percent, shared.burst, 0});
  path.queue_bytes = static_cast<size_t>(shared.queue * path.rate_bps / 8 * shared.rtt_ms / 1000);
  constexpr int kSeeds = 48;
  double share = 0;
  double dropped = 0;
  double used = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Link link(path, seed, {}, true, sim::Busy{.between = shared.busy * 3 / 2, .longest = shared.busy});
    test::App a(link.pa);
    test::App b(link.pb);
    test::join(a, b, link.ha.address(), link.hb.address());
    link.a.content = link.b.content = a.content = b.content = false;
    link.a.send(1ull << 40);
    link.world.run_for(5s);
    const auto before = link.world.counters(link.ha, link.hb);
    const uint64_t old = link.b.received;
    a.send(1ull << 40);
    link.world.run_for(10s);
    const auto after = link.world.counters(link.ha, link.hb);
    const auto both = static_cast<double>(b.received + link.b.received - old);
    share += static_cast<double>(b.received) / both / kSeeds;
    dropped += static_cast<double>(after.dropped - before.dropped) / static_cast<double>(after.sent - before.sent) / kSeeds;
    used += both * 8 / 10 / path.rate_bps / kSeeds;
  }
  RecordProperty("share_permille", static_cast<int>(share * 1000));
  EXPECT_GE(share, shared.least_share);
  EXPECT_LE(dropped, shared.most_dropped);
  EXPECT_GE(used, 0.88);
}

INSTANTIATE_TEST_SUITE_P(Paths, Newcomer,
                         testing::Values(Shared{"wifi", 50, 40, 1, 0.32, 0.02}, Shared{"shallow", 50, 40, 0.25, 0.34, 0.06},
                                         Shared{"deep", 50, 40, 4, 0.36, 0.01}, Shared{"slow", 10, 100, 1, 0.41, 0.045},
                                         Shared{"quick", 100, 20, 1, 0.41, 0.03}, Shared{"congested", 25, 40, 1, 0.43, 0.04, 12, 1, 6},
                                         Shared{"lossy", 50, 40, 1, 0.40, 0.02, 0, 1},
                                         Shared{"busy_machines", 50, 40, 1, 0.29, 0.022, 0, 0, 0, 10ms}),
                         [](const auto& param) { return param.param.name; });

TEST(Filling, PathThatBecomesMuchWider) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Link link({.delay = 25ms, .rate_bps = 2e6, .queue_bytes = 45000}, seed);
    link.a.content = link.b.content = false;
    link.a.send(1ull << 40);
    link.world.run_for(10s);
    link.world.set_path(link.ha, link.hb, {.delay = 25ms, .rate_bps = 200e6, .queue_bytes = 1250000});
    link.world.run_for(3s);
    EXPECT_GE(link.rate_over(1s), 0.8 * 200e6) << seed;
  }
}

TEST(Filling, GigabitTimesHundredMilliseconds) {
  Link link({.delay = 50ms, .rate_bps = 1e9, .queue_bytes = 12500000});
  link.a.content = link.b.content = false;
  link.a.send(1ull << 40);
  link.world.run_for(1400ms);
  EXPECT_GE(link.rate_over(200ms), 0.9e9);
}

}  // namespace
}  // namespace hg::udx
