// How well a stream uses a path: share of the rate that arrives as payload, what it offers, the queue it leaves, fairness.
#include <gtest/gtest.h>

#include "sim/world.h"
#include "udx/test_link.h"

namespace hg::udx {
namespace {

using sim::Path;
using Link = test::BasicLink<sim::World, sim::Host, Path>;

struct Profile {
  const char* name;
  Path path;
  double least_goodput;     // share of the rate, from the first byte on
  double most_offered = 0;  // datagrams sent per datagram that was not dropped; 0: not judged
  double most_queue = 0;    // mean standing queue, in BDP; 0: not judged
};

class Goodput : public testing::TestWithParam<Profile> {};

TEST_P(Goodput, UsesThePath) {
  const Profile& profile = GetParam();
  Link link(Path{.delay = profile.path.delay}, 3);
  link.world.set_one_way(link.ha, link.hb, profile.path);
  link.a.content = link.b.content = false;
  constexpr int kSeconds = 12;
  link.a.send(1ull << 40);
  double rtt_sum = 0;
  int samples = 0;
  for (int i = 0; i < kSeconds * 20; ++i) {
    link.world.run_for(50ms);
    if (i < 60) continue;
    rtt_sum += to_seconds(link.a.stream->stats().smoothed_rtt);
    ++samples;
  }
  const double goodput = static_cast<double>(link.b.received) * 8 / kSeconds / profile.path.rate_bps;
  EXPECT_GE(goodput, profile.least_goodput);
  const auto counters = link.world.counters(link.ha, link.hb);
  const double offered = static_cast<double>(counters.sent) / static_cast<double>(counters.sent - counters.dropped);
  EXPECT_TRUE(profile.most_offered == 0 || offered <= profile.most_offered) << offered;
  const double base = 2 * to_seconds(profile.path.delay);
  const double queue = (rtt_sum / samples - base) / base;
  EXPECT_TRUE(profile.most_queue == 0 || queue <= profile.most_queue) << queue;
  RecordProperty("goodput_percent", static_cast<int>(goodput * 100));
}

INSTANTIATE_TEST_SUITE_P(
    Profiles, Goodput,
    testing::Values(Profile{"clean_100M_40ms", {.delay = 20ms, .rate_bps = 100e6}, 0.90, 1.01, 0.5},
                    Profile{"loss1_100M_100ms", {.delay = 50ms, .loss = 0.01, .rate_bps = 100e6}, 0.86, 1.06},
                    Profile{"loss5_20M_30ms", {.delay = 15ms, .loss = 0.05, .rate_bps = 20e6}, 0.88, 1.12, 0.5},
                    Profile{"loss20_20M_30ms", {.delay = 15ms, .loss = 0.20, .rate_bps = 20e6}, 0.78},
                    Profile{"shallow_10M_30ms", {.delay = 15ms, .rate_bps = 10e6, .queue_bytes = 10000}, 0.85, 1.1},
                    Profile{"shallow_100M_40ms", {.delay = 20ms, .rate_bps = 100e6, .queue_bytes = 64000}, 0.85, 1.1},
                    Profile{"deep_1M_50ms", {.delay = 25ms, .rate_bps = 1e6, .queue_bytes = 1 << 20}, 0.90, 1.01, 1.0},
                    Profile{"reorder_100M_40ms", {.delay = 20ms, .reorder = 0.02, .rate_bps = 100e6}, 0.80},
                    Profile{"jitter_50M_40ms", {.delay = 20ms, .jitter = 10ms, .rate_bps = 50e6}, 0.90},
                    Profile{"hosts_40M_16ms", {.delay = 8ms, .swing = 2ms, .rate_bps = 40e6, .queue_bytes = 80000}, 0.92, 1.018},
                    Profile{"short_200M_1ms", {.delay = 500us, .rate_bps = 200e6}, 0.90, 1.01}),
    [](const auto& param) { return param.param.name; });

TEST(GoodputShared, EightStreamsShareFairly) {
  constexpr int kSeeds = 12;
  double fairness = 0;  // Jain's index, mean of the seeds
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    sim::World world(seed);
    sim::Host& ha = world.add_host("10.0.0.1");
    sim::Host& hb = world.add_host("10.0.0.2");
    world.set_path(ha, hb, {.delay = 20ms, .rate_bps = 80e6, .queue_bytes = 400000});
    test::Peer pa(ha);
    test::Peer pb(hb);
    std::vector<std::unique_ptr<test::App>> senders;
    std::vector<std::unique_ptr<test::App>> receivers;
    for (int i = 0; i < 8; ++i) {
      senders.push_back(std::make_unique<test::App>(pa));
      receivers.push_back(std::make_unique<test::App>(pb));
      test::join(*senders.back(), *receivers.back(), ha.address(), hb.address());
      senders.back()->content = receivers.back()->content = false;
      senders.back()->send(1ull << 40);
    }
    world.run_for(5s);
    std::vector<uint64_t> before;
    for (const auto& receiver : receivers) before.push_back(receiver->received);
    world.run_for(20s);
    double sum = 0;
    double squares = 0;
    for (size_t i = 0; i < receivers.size(); ++i) {
      const double share = static_cast<double>(receivers[i]->received - before[i]);
      sum += share;
      squares += share * share;
    }
    fairness += sum * sum / (8 * squares) / kSeeds;
    EXPECT_GE(sum * 8 / 20 / 80e6, 0.85);
    const auto counters = world.counters(ha, hb);
    EXPECT_LE(static_cast<double>(counters.sent) / static_cast<double>(counters.sent - counters.dropped), 1.2);
  }
  RecordProperty("fairness_permille", static_cast<int>(fairness * 1000));
  EXPECT_GE(fairness, 0.90);
}

TEST(GoodputLossy, LossThatDoesNotDependOnTheRateIsBorneWhateverItsOrder) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Link link(Path{.delay = 15ms}, seed);
    link.world.set_one_way(link.ha, link.hb, {.delay = 15ms, .loss = 0.20, .rate_bps = 20e6});
    link.a.content = link.b.content = false;
    link.a.send(1ull << 40);
    link.world.run_for(12s);
    EXPECT_GE(static_cast<double>(link.b.received) * 8 / 12 / 20e6, 0.75) << seed;
  }
}

TEST(GoodputShared, LittleWaitsUnsent) {
  Link link({.delay = 20ms, .rate_bps = 100e6, .queue_bytes = 500000}, 3);
  link.a.content = link.b.content = false;
  link.a.send(1ull << 40, false, 4096);
  link.world.run_for(2s);
  for (int i = 0; i < 100; ++i) {
    link.world.run_for(10ms);
    EXPECT_LE(static_cast<double>(link.a.stream->queued_bytes()) * 8 / 100e6, 0.007);  // 4 ms and one write, while probing a quarter more
  }
}

TEST(GoodputShared, RateThatDropsAndRisesIsFollowed) {
  Link link({.delay = 20ms, .rate_bps = 50e6, .queue_bytes = 100000}, 3);
  link.a.content = link.b.content = false;
  link.a.send(1ull << 40);
  link.world.run_for(5s);
  link.world.set_path(link.ha, link.hb, {.delay = 20ms, .rate_bps = 5e6, .queue_bytes = 100000});
  link.world.run_for(3s);
  uint64_t before = link.b.received;
  const auto counters_before = link.world.counters(link.ha, link.hb);
  link.world.run_for(5s);
  EXPECT_GE(static_cast<double>(link.b.received - before) * 8 / 5 / 5e6, 0.8);
  const auto counters = link.world.counters(link.ha, link.hb);
  EXPECT_LE(static_cast<double>(counters.dropped - counters_before.dropped),
            0.15 * static_cast<double>(counters.sent - counters_before.sent));
  link.world.set_path(link.ha, link.hb, {.delay = 20ms, .rate_bps = 50e6, .queue_bytes = 100000});
  link.world.run_for(8s);
  before = link.b.received;
  link.world.run_for(5s);
  EXPECT_GE(static_cast<double>(link.b.received - before) * 8 / 5 / 50e6, 0.8);
}

}  // namespace
}  // namespace hg::udx
