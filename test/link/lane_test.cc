// The emulated link does what its options say, by count.
#include "link/lane.h"

#include <gtest/gtest.h>

#include "link/control.h"

namespace hg::link {
namespace {

constexpr TimePoint kStart{std::chrono::hours(1)};

Bytes packet(size_t size, uint8_t mark = 0) {
  Bytes bytes(size);
  bytes[0] = 0x45;
  bytes[6] = 0x40;  // DF
  bytes[8] = 64;
  bytes[20] = mark;
  return bytes;
}

struct Arrival {
  TimePoint at;
  uint8_t mark;
};

/// Offers `count` full packets, one each `gap`, and lets the lane run empty.
std::vector<Arrival> send(Lane& lane, int count, Duration gap, size_t size = 1500) {
  std::vector<Arrival> arrivals;
  TimePoint now = kStart;
  const auto collect = [&](TimePoint until) {
    while (lane.next_deadline() && *lane.next_deadline() <= until) {
      const TimePoint at = *lane.next_deadline();
      lane.release(at, [&](ByteView p) { arrivals.push_back({at, p[20]}); });
    }
  };
  for (int i = 0; i < count; ++i, now += gap) {
    collect(now);
    lane.offer(packet(size, static_cast<uint8_t>(i)), now);
  }
  collect(now + std::chrono::hours(1));
  return arrivals;
}

TEST(Lane, RateSpreadsPacketsAndTheQueueIsFinite) {
  Lane lane({.rate_bps = 12e6, .delay = 10ms}, 1);  // a full packet takes 1 ms; the queue holds 30
  const auto arrivals = send(lane, 100, 0ms);
  ASSERT_EQ(arrivals.size(), 30u);
  EXPECT_EQ(lane.counters().dropped_queue, 70u);
  EXPECT_EQ(arrivals.front().at - kStart, 11ms);
  EXPECT_EQ(arrivals.back().at - kStart, 40ms);
}

TEST(Lane, QueueIsTheBandwidthDelayProduct) {
  EXPECT_EQ(default_queue({.rate_bps = 80e6, .delay = 20ms}), 400000u);
  EXPECT_EQ(default_queue({.rate_bps = 1e6, .delay = 20ms}), 45000u);
}

TEST(Lane, LossIsAShareOfThePackets) {
  Lane lane({.loss = 0.02}, 1);
  const auto arrivals = send(lane, 50000, 1ms);
  EXPECT_NEAR(static_cast<double>(arrivals.size()) / 50000, 0.98, 0.003);
}

TEST(Lane, BurstsLastInTime) {
  // 10 packets at 12 Mbit/s take 10 ms. A sparse sender, one packet each 4 ms, loses 2 or 3 in a row, and the same share.
  Lane lane({.rate_bps = 12e6, .loss = 0.1, .burst_packets = 10}, 1);
  const auto arrivals = send(lane, 60000, 4ms, 100);
  EXPECT_NEAR(static_cast<double>(arrivals.size()) / 60000, 0.9, 0.02);
  int gaps = 0;
  int long_gaps = 0;
  for (size_t i = 1; i < arrivals.size(); ++i) {
    const Duration gap = arrivals[i].at - arrivals[i - 1].at;
    gaps += gap > 5ms;
    long_gaps += gap > 33ms;  // more than two bursts in a row
  }
  EXPECT_GT(gaps, 1000);
  EXPECT_LT(long_gaps, gaps / 20);
}

TEST(Lane, JitterDoesNotReorder) {
  Lane lane({.rate_bps = 12e6, .delay = 20ms, .jitter = 30ms}, 1);
  const auto arrivals = send(lane, 5000, 1ms);
  Duration least = 1h;
  Duration most{};
  for (size_t i = 0; i < arrivals.size(); ++i) {
    ASSERT_EQ(arrivals[i].mark, static_cast<uint8_t>(i));
    const Duration took = arrivals[i].at - (kStart + 1ms * static_cast<int64_t>(i));
    least = std::min(least, took);
    most = std::max(most, took);
  }
  EXPECT_LT(least, 10ms);
  EXPECT_GT(most, 30ms);
  EXPECT_LT(most, 37ms);
}

TEST(Lane, ReorderingAndDuplicationAreCounted) {
  Lane lane({.delay = 20ms, .reorder = 0.25, .duplicate = 0.1}, 1);
  const auto arrivals = send(lane, 200, 1ms);
  int backwards = 0;
  for (size_t i = 1; i < arrivals.size(); ++i) backwards += arrivals[i].mark < arrivals[i - 1].mark;
  EXPECT_NEAR(static_cast<double>(lane.counters().packets_reordered), 50, 20);
  EXPECT_GT(backwards, 20);
  EXPECT_EQ(arrivals.size(), 200 + lane.counters().packets_duplicated);
  EXPECT_NEAR(static_cast<double>(lane.counters().packets_duplicated), 20, 12);
}

TEST(Lane, LongPacketsAndShortLivedOnesVanish) {
  Lane lane({.mtu = 1280}, 1);
  lane.offer(packet(1281), kStart);
  lane.offer(packet(1280), kStart);
  Bytes probe = packet(30);
  probe[8] = 7;
  lane.offer(probe, kStart);
  EXPECT_EQ(lane.counters().dropped_mtu, 1u);
  EXPECT_EQ(lane.counters().dropped_ttl, 1u);
  EXPECT_EQ(lane.counters().bytes_pending, 1280u);
}

TEST(Lane, PacketsThatMayBeFragmentedAre) {
  Lane lane({.mtu = 1280}, 1);
  Bytes whole = packet(1500);
  whole[6] = 0;
  for (size_t i = 20; i < whole.size(); ++i) whole[i] = static_cast<uint8_t>(i * 7);
  lane.offer(whole, kStart);
  std::vector<Bytes> parts;
  lane.release(kStart, [&](ByteView p) { parts.push_back(to_bytes(p)); });
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].size(), 1276u);  // the body in multiples of 8
  EXPECT_EQ(parts[0][6], 0x20);       // more fragments
  EXPECT_EQ(parts[1][6] << 8 | parts[1][7], 1256 / 8);
  Bytes body(parts[0].begin() + 20, parts[0].end());
  append_bytes(body, ByteView(parts[1]).subspan(20));
  EXPECT_EQ(body, Bytes(whole.begin() + 20, whole.end()));
  for (const Bytes& part : parts) {
    EXPECT_EQ(static_cast<size_t>(part[2] << 8 | part[3]), part.size());
    uint32_t sum = 0;
    for (size_t at = 0; at < 20; at += 2) sum += static_cast<uint32_t>(part[at] << 8 | part[at + 1]);
    EXPECT_EQ((sum & 0xffff) + (sum >> 16), 0xffffu);
  }
  EXPECT_EQ(lane.counters().dropped_mtu, 0u);
}

TEST(Lane, TheSeedDecides) {
  const auto fate = [](uint64_t seed) {
    Lane lane({.rate_bps = 1e6, .delay = 20ms, .jitter = 10ms, .loss = 0.2, .reorder = 0.1}, seed);
    std::vector<int64_t> out;
    for (const Arrival& arrival : send(lane, 300, 15ms)) out.push_back((arrival.at - kStart).count());
    return out;
  };
  EXPECT_EQ(fate(5), fate(5));
  EXPECT_NE(fate(5), fate(6));
}

TEST(Control, Commands) {
  Link link{Lane({}, 1), Lane({}, 2)};
  EXPECT_EQ(answer(link, "mtu 1280"), R"({"ok":true})");
  link.ba.offer(packet(1300), kStart);
  EXPECT_NE(answer(link, "counters").find(R"("ba":{"packets_offered":1,"bytes_offered":1300,)"), std::string::npos);
  EXPECT_NE(answer(link, "counters").find(R"("dropped_mtu":1)"), std::string::npos);
  for (const char* wrong : {"", "mtu", "mtu x", "mtu 12", "loss 101", "counter"})
    EXPECT_NE(answer(link, wrong).find("error"), std::string::npos) << wrong;
}

}  // namespace
}  // namespace hg::link
