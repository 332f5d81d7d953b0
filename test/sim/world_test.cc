#include "sim/world.h"

#include <gtest/gtest.h>

namespace hg::sim {
namespace {

struct Collector : UdpReceiver {
  void on_datagram(UdpSocket&, const Endpoint& from, ByteView data) override { got.emplace_back(from, to_bytes(data)); }
  void on_drained(UdpSocket&) override { drained++; }
  std::vector<std::pair<Endpoint, Bytes>> got;
  int drained = 0;
};

TEST(World, DeliversAfterDelay) {
  World world;
  Host& a = world.add_host("10.0.0.1");
  Host& b = world.add_host("10.0.0.2");
  world.set_path(a, b, {.delay = 30ms});
  auto sa = *a.open_udp({0, 1000});
  auto sb = *b.open_udp({0, 2000});
  Collector collector;
  sb->set_receiver(&collector);
  const TimePoint start = world.now();
  sa->send({b.address(), 2000}, as_bytes("hi"));
  ASSERT_TRUE(world.run_until([&] { return !collector.got.empty(); }, 1s));
  EXPECT_EQ(world.now() - start, 30ms);
  EXPECT_EQ(collector.got[0].first, (Endpoint{a.address(), 1000}));
  EXPECT_EQ(collector.drained, 1);
}

TEST(World, ABusyHostGetsToNothingNowAndThen) {
  World world;
  Host& a = world.add_host("10.0.0.1");
  Host& b = world.add_host("10.0.0.2", {.between = 10ms, .longest = 10ms});
  world.set_path(a, b, {.delay = 1ms});
  auto sa = *a.open_udp({0, 1000});
  auto sb = *b.open_udp({0, 2000});
  Collector collector;
  sb->set_receiver(&collector);
  int late_timers = 0;
  int late_packets = 0;
  Duration latest{};
  for (int i = 0; i < 1000; ++i) {
    const TimePoint due = world.now() + 1ms;
    TimePoint fired{};
    Timer timer(b.timers(), [&] { fired = world.now(); });
    timer.arm(due);
    sa->send({b.address(), 2000}, as_bytes("x"));
    collector.got.clear();
    ASSERT_TRUE(world.run_until([&] { return fired != TimePoint{} && !collector.got.empty(); }, 20ms));
    latest = std::max(latest, world.now() - due);
    if (fired > due) ++late_timers;
    if (world.now() > due) ++late_packets;
  }
  EXPECT_GT(late_timers, 50);
  EXPECT_EQ(late_timers, late_packets);
  EXPECT_GT(latest, 8ms);
  EXPECT_LE(latest, 10ms);
}

TEST(World, RateLimitDropsBeyondQueue) {
  World world;
  Host& a = world.add_host("10.0.0.1");
  Host& b = world.add_host("10.0.0.2");
  world.set_path(a, b, {.delay = 1ms, .rate_bps = 8e6, .queue_bytes = 10000});
  auto sa = *a.open_udp({0, 1000});
  auto sb = *b.open_udp({0, 2000});
  Collector collector;
  sb->set_receiver(&collector);
  const Bytes kilobyte(1000);
  for (int i = 0; i < 100; ++i) sa->send({b.address(), 2000}, kilobyte);
  world.run_for(1s);
  EXPECT_GE(collector.got.size(), 9u);
  EXPECT_LE(collector.got.size(), 11u);
}

TEST(World, LossIsSeeded) {
  auto count = [](uint64_t seed) {
    World world(seed);
    Host& a = world.add_host("10.0.0.1");
    Host& b = world.add_host("10.0.0.2");
    world.set_path(a, b, {.loss = 0.5});
    auto sa = *a.open_udp({0, 1000});
    auto sb = *b.open_udp({0, 2000});
    Collector collector;
    sb->set_receiver(&collector);
    for (int i = 0; i < 1000; ++i) sa->send({b.address(), 2000}, as_bytes("x"));
    world.run_for(1s);
    return collector.got.size();
  };
  EXPECT_EQ(count(7), count(7));
  EXPECT_NEAR(static_cast<double>(count(7)), 500, 80);
}

}  // namespace
}  // namespace hg::sim
