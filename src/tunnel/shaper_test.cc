#include "tunnel/shaper.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "sim/world.h"

namespace hg::tunnel {
namespace {

IngressRule rule(double mbps, double burst_mbps) {
  IngressRule made;
  made.pattern = "*";
  made.bandwidth = BandwidthLimit{mbps, burst_mbps};
  return made;
}

/// A sender that always has more, in chunks as a link would move them.
struct Sender {
  explicit Sender(std::shared_ptr<Bucket> bucket, size_t chunk_bytes = kMaxStreamBody) : side([this] { go(); }), chunk(chunk_bytes) {
    side.use(std::move(bucket));
  }
  void go() {
    while (const size_t may = side.grant(chunk)) {
      side.charge(may);
      sent += may;
    }
  }
  ShapedSide side;
  size_t chunk;
  size_t sent = 0;
};

/// The same with datagrams of 1200 bytes.
struct DatagramSender {
  explicit DatagramSender(std::shared_ptr<Bucket> bucket) : side([this] { go(); }) { side.use(std::move(bucket)); }
  void go() {
    while (side.grant_whole(1200)) {
      side.charge(1200);
      sent += 1200;
    }
  }
  ShapedSide side;
  size_t sent = 0;
};

/// A loop that comes round whenever it likes.
class LateLoop final : public Runtime {
 public:
  TimePoint now() const override { return now_; }
  int64_t wall_ms() const override { return to_ms(now_.time_since_epoch()); }
  TimerQueue& timers() override { return timers_; }
  Rng& rng() override { return rng_; }
  UdpNetwork& network() override { std::abort(); }
  void post(std::function<void()>) override { std::abort(); }
  /// The time goes on, and nothing is run.
  void oversleep(Duration span) { now_ += span; }
  /// Turns at random intervals of up to `most_late`, mostly short ones.
  void run_for(Duration span, Duration most_late) {
    for (const TimePoint end = now_ + span; now_ < end;) {
      const double x = static_cast<double>(rng_.u32()) / 4294967296.0;
      now_ = std::min(end, now_ + 100us + Duration(static_cast<int64_t>(static_cast<double>(most_late.count()) * x * x * x * x)));
      timers_.run_due(now_);
    }
  }

 private:
  TimePoint now_{1h};
  TimerQueue timers_;
  SeededRng rng_{7};
};

class ShaperTest : public ::testing::Test {
 protected:
  sim::World world_{1};
  sim::Host& host_ = world_.add_host("10.0.0.1");
  Counters counters_;
  Shaper shaper_{host_, counters_};
};

TEST_F(ShaperTest, KeepsTheRateWithinTwoPercentFrom64KbitTo2Gbit) {
  for (const double mbps : {0.064, 1.0, 33.0, 500.0, 2000.0}) {
    for (const double burst : {mbps, mbps / 10, 5 * mbps}) {
      Sender sender(shaper_.bucket("192.0.2.1", rule(mbps, burst)));
      sender.go();
      world_.run_for(Duration(static_cast<int64_t>(burst / mbps * 1e9)));  // the burst is gone
      const size_t before = sender.sent;
      world_.run_for(10s);
      const double measured = static_cast<double>(sender.sent - before) * 8 / 1e6 / 10;
      EXPECT_NEAR(mbps, measured, 0.02 * mbps) << mbps << " Mbit/s with a burst of " << burst;
    }
  }
}

TEST_F(ShaperTest, KeepsTheRateThoughTheLoopIsLate) {
  for (const double mbps : {0.064, 1.0, 33.0, 400.0, 2000.0}) {
    for (const double burst : {mbps, mbps / 10, mbps / 100}) {
      LateLoop loop;
      Shaper shaper(loop, counters_);
      Sender stream(shaper.bucket("192.0.2.1", rule(mbps, burst)));
      DatagramSender datagrams(shaper.bucket("192.0.2.2", rule(mbps, burst)));
      stream.go();
      datagrams.go();
      loop.run_for(Duration(static_cast<int64_t>(burst / mbps * 1e9)) + 2s, 600ms);
      const size_t before = stream.sent;
      const size_t before_datagrams = datagrams.sent;
      loop.run_for(10s, 600ms);
      // A loop that sleeps for 600 ms at the end of the 10 s has not sent yet what is due in these.
      loop.run_for(1ms, 0ms);
      EXPECT_NEAR(mbps, static_cast<double>(stream.sent - before) * 8 / 1e6 / 10, 0.02 * mbps) << mbps << " burst " << burst;
      EXPECT_NEAR(mbps, static_cast<double>(datagrams.sent - before_datagrams) * 8 / 1e6 / 10, 0.02 * mbps) << mbps << " burst " << burst;
    }
  }
}

TEST_F(ShaperTest, NobodyOvertakesThoseWhoWait) {
  LateLoop loop;
  Shaper shaper(loop, counters_);
  const auto bucket = shaper.bucket("192.0.2.1", rule(8, 1));
  Sender first(bucket);
  DatagramSender second(bucket);
  first.go();
  second.go();
  EXPECT_EQ(0u, second.sent);
  loop.oversleep(500ms);  // tokens enough for all, and no turn taken yet
  ShapedSide late([] {});
  late.use(bucket);
  EXPECT_EQ(0u, late.grant(1));
  ShapedSide late_datagram([] {});
  late_datagram.use(bucket);
  EXPECT_FALSE(late_datagram.grant_whole(1));
  loop.run_for(1ms, 0ms);
  EXPECT_GT(second.sent, 0u);
}

TEST_F(ShaperTest, TheBurstPassesAtOnceAndNoMore) {
  Sender sender(shaper_.bucket("192.0.2.1", rule(1, 8)));
  sender.go();
  EXPECT_EQ(1'000'000u, sender.sent);
  world_.run_for(1s);
  EXPECT_NEAR(1'125'000, static_cast<double>(sender.sent), 10'000);
  EXPECT_GT(counters_.shaping_waits, 0u);
  EXPECT_GT(counters_.shaping_delay, 900ms);
}

TEST_F(ShaperTest, OneClientsSidesShareOneBucketFairlyAndOtherClientsHaveTheirOwn) {
  std::vector<std::unique_ptr<Sender>> senders;
  for (const size_t chunk : {61440u, 1400u, 61440u, 9000u})
    senders.push_back(std::make_unique<Sender>(shaper_.bucket("192.0.2.1", rule(10, 1)), chunk));
  Sender other(shaper_.bucket("192.0.2.2", rule(10, 1)));
  for (const auto& sender : senders) sender->go();
  other.go();
  world_.run_for(10s);
  size_t sum = 0;
  for (const auto& sender : senders) {
    sum += sender->sent;
    EXPECT_NEAR(3'125'000, static_cast<double>(sender->sent), 200'000);
  }
  EXPECT_NEAR(12'500'000, static_cast<double>(sum), 250'000);
  EXPECT_NEAR(12'500'000, static_cast<double>(other.sent), 250'000);
  EXPECT_EQ(2u, shaper_.size());
}

TEST_F(ShaperTest, ADatagramLargerThanTheBucketWaitsForAFullOneAndLeavesADebt) {
  int turns = 0;
  ShapedSide side([&] { ++turns; });
  side.use(shaper_.bucket("192.0.2.1", rule(0.08, 0.08)));  // 10,000 bytes a second
  ASSERT_TRUE(side.grant_whole(5000));
  side.charge(5000);
  EXPECT_FALSE(side.grant_whole(60000));
  world_.run_for(490ms);
  EXPECT_EQ(0, turns);
  world_.run_for(20ms);
  ASSERT_EQ(1, turns);
  ASSERT_TRUE(side.grant_whole(60000));
  side.charge(60000);
  EXPECT_FALSE(side.grant_whole(100));
  world_.run_for(4900ms);
  EXPECT_EQ(1, turns);
  world_.run_for(300ms);
  EXPECT_EQ(2, turns);
}

TEST_F(ShaperTest, ASideThatGoesMakesRoomAndABucketIsForgottenOnlyWhenFull) {
  auto first = std::make_unique<Sender>(shaper_.bucket("192.0.2.1", rule(1, 1)));
  Sender second(shaper_.bucket("192.0.2.1", rule(1, 1)));
  first->go();
  second.go();
  first.reset();
  world_.run_for(1s);
  EXPECT_NEAR(125'000, static_cast<double>(second.sent), 2'000);
  second.side.use(nullptr);
  EXPECT_EQ(777u, second.side.grant(777));
  // 100 clients more make it look for buckets to forget: the spent one stays.
  for (int i = 0; i < 100; ++i) shaper_.bucket("198.51.100." + std::to_string(i), rule(1, 1));
  Sender again(shaper_.bucket("192.0.2.1", rule(1, 1)));
  again.go();
  EXPECT_LT(again.sent, 10'000u);
  EXPECT_LT(shaper_.size(), 100u);
}

TEST_F(ShaperTest, ASideMayBeDestroyedInItsTurn) {
  auto bucket = shaper_.bucket("192.0.2.1", rule(1, 1));
  std::unique_ptr<ShapedSide> side;
  side = std::make_unique<ShapedSide>([&] { side.reset(); });
  side->use(bucket);
  side->charge(125'000);
  EXPECT_EQ(0u, side->grant(1000));
  Sender behind(bucket);
  behind.go();
  world_.run_for(1s);
  EXPECT_EQ(nullptr, side);
  EXPECT_GT(behind.sent, 100'000u);
}

}  // namespace
}  // namespace hg::tunnel
