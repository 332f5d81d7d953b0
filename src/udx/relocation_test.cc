// What follows an outage or a change of path: much that was sent waits to be sent again, and the path is another one.
#include <gtest/gtest.h>

#include "sim/world.h"
#include "udx/test_link.h"

namespace hg::udx {
namespace {

using sim::Path;
using Link = test::BasicLink<sim::World, sim::Host, Path>;

/// A download that has filled a fast path when that is left, after a silence of so long.
struct Cut : Link {
  explicit Cut(Duration silence = 3s) : Link({.delay = 20ms, .rate_bps = 100e6, .queue_bytes = 500000}, 5) {
    a.content = b.content = false;
    a.send(1ull << 32);
    world.run_for(5s);
    cut(true);
    world.run_for(silence);
    cut(false);
    before = b.received;
  }
  void go_on_over(const Path& path) {
    world.set_path(ha, hb, path);
    a.stream->relocate(*pa.socket, at_b(), b.stream->id());
  }
  uint64_t fresh() const { return b.received - before; }

  uint64_t before = 0;
};

class RelocationAfter : public ::testing::TestWithParam<Duration> {};

TEST_P(RelocationAfter, TheNewPathIsMeasuredAtOnce) {
  Cut link(GetParam());
  link.go_on_over({.delay = 100ms, .rate_bps = 100e6, .queue_bytes = 1000000});
  link.world.run_for(500ms);
  EXPECT_NEAR(to_seconds(link.a.stream->stats().smoothed_rtt), 0.2, 0.02);
  link.world.run_for(4500ms);
  EXPECT_GT(link.fresh(), 20u << 20);  // a fresh stream makes 39 million
}

INSTANTIATE_TEST_SUITE_P(Silences, RelocationAfter, ::testing::Values(20ms, 3s));  // before any timeout, and after many

/// The peer moves so much later, and what it says until then goes nowhere.
class RelocationBefore : public ::testing::TestWithParam<Duration> {};

TEST_P(RelocationBefore, ThePeerMovesToo) {
  constexpr Path kPath{.delay = 1ms, .rate_bps = 100e6, .queue_bytes = 500000};
  Cut link(200ms);
  link.go_on_over(kPath);
  link.world.set_one_way(link.hb, link.ha, {.delay = 1ms, .loss = 1});
  link.world.run_for(GetParam());
  link.world.set_path(link.ha, link.hb, kPath);
  link.b.send(1000);
  link.world.run_for(500ms);
  EXPECT_LT(link.a.stream->stats().smoothed_rtt, 20ms);
  EXPECT_GT(link.fresh(), 3u << 20);  // of 6 MB
}

INSTANTIATE_TEST_SUITE_P(Delays, RelocationBefore, ::testing::Values(50ms, 300ms, 600ms, 900ms));

TEST(Relocation, WhatIsLostOnTheNewPathGoesBeforeWhatStillWaits) {
  Cut link;
  link.go_on_over({.delay = 50ms, .rate_bps = 2e6, .queue_bytes = 30000});
  link.world.run_for(2s);
  EXPECT_GT(link.fresh(), 250000u) << "in order, of the 500000 that the path carries";
}

TEST(Relocation, APathThatIsShorterAfterAnOutageIsNoticed) {
  Link link({.delay = 100ms, .rate_bps = 64e3, .queue_bytes = 30000});
  link.a.send(1 << 20);
  link.world.run_for(20s);
  link.cut(true);
  link.world.run_for(3s);
  link.cut(false);
  link.world.set_path(link.ha, link.hb, {.delay = 10ms});
  EXPECT_TRUE(link.until_received(1 << 20, 2s));
}

}  // namespace
}  // namespace hg::udx
