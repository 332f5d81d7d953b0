// Who waits for a shared rate gets it by turns, byte for byte.
#include "udx/bandwidth.h"

#include <gtest/gtest.h>

#include "sim/world.h"

namespace hg::udx {
namespace {

/// Always has `left` more packets of one size.
struct Waiting final : SharedBandwidth::Waiter {
  Waiting(size_t size, int packets) : bytes(size), left(packets) {}
  size_t next_bytes() const override { return bytes; }
  bool serve() override {
    got += bytes;
    return --left > 0;
  }

  size_t bytes;
  int left;
  uint64_t got = 0;
};

struct Shared {
  sim::World world{1};
  sim::Host& host = world.add_host("10.0.0.1");
  SharedBandwidth rate{host, 100'000, 20'000};
};

TEST(SharedBandwidth, GivesEqualBytesWhateverThePackets) {
  Shared shared;
  Waiting large(1400, 1 << 20);
  Waiting small(100, 1 << 20);
  shared.rate.wait(large);
  shared.rate.wait(small);
  const uint64_t burst = large.got;
  shared.world.run_for(20s);
  EXPECT_NEAR(static_cast<double>(large.got - burst + small.got), 2'000'000, 3000);
  EXPECT_NEAR(static_cast<double>(small.got), 1'000'000, 25'000);
  shared.rate.leave(large);
  shared.rate.leave(small);
}

TEST(SharedBandwidth, WhoComesLateHasNoArrearsToClaim) {
  Shared shared;
  Waiting first(1000, 1 << 20);
  shared.rate.wait(first);
  shared.world.run_for(10s);
  const uint64_t before = first.got;
  Waiting late(1000, 1 << 20);
  shared.rate.wait(late);
  shared.world.run_for(10s);
  EXPECT_NEAR(static_cast<double>(late.got), 500'000, 3000);
  EXPECT_NEAR(static_cast<double>(first.got - before), 500'000, 3000);
  shared.rate.leave(first);
  shared.rate.leave(late);
}

TEST(SharedBandwidth, NobodyOvertakesWhoWaits) {
  Shared shared;
  EXPECT_TRUE(shared.rate.take(20'000)) << "the burst";
  EXPECT_FALSE(shared.rate.take(1));
  Waiting waiting(1000, 10);
  shared.rate.wait(waiting);
  EXPECT_EQ(waiting.got, 0u);
  shared.world.run_for(50ms);
  EXPECT_FALSE(shared.rate.take(1));
  shared.world.run_for(150ms);
  EXPECT_EQ(waiting.got, 10'000u) << "and waits no longer";
  EXPECT_TRUE(shared.rate.take(1));
}

}  // namespace
}  // namespace hg::udx
