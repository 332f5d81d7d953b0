// What a bad network does to a stream: loss, reordering, outages, narrow paths, a socket that refuses.
#include <gtest/gtest.h>

#include "sim/world.h"
#include "udx/test_link.h"

namespace hg::udx {
namespace {

using sim::Path;
using test::raw_packet;
using Link = test::BasicLink<sim::World, sim::Host, Path>;

struct Conditions {
  const char* name;
  Path path;
};

class Intact : public testing::TestWithParam<Conditions> {};

TEST_P(Intact, BothWays) {
  Link link(GetParam().path, 7);
  constexpr uint64_t kBytes = 3 << 20;
  link.a.send(kBytes, true);
  link.b.send(kBytes, true);
  ASSERT_TRUE(link.until_closed(60s));
  EXPECT_EQ(link.b.received, kBytes);
  EXPECT_EQ(link.a.received, kBytes);
  EXPECT_TRUE(link.a.intact && link.b.intact);
  EXPECT_TRUE(link.a.ended && link.b.ended);
  EXPECT_EQ(link.a.close_code + link.b.close_code, "");
}

TEST_P(Intact, WhereTheNumbersWrap) {
  for (const uint32_t before : {3u, 700u}) {
    Link link(GetParam().path, 7, {.first_seq = 0u - before});
    constexpr uint64_t kBytes = 3 << 20;
    link.a.send(kBytes, true);
    link.b.send(kBytes, true);
    link.world.run_for(200ms);
    link.a.stream->relocate(*link.pa.socket, link.at_b(), link.b.stream->id());
    ASSERT_TRUE(link.until_closed(60s));
    EXPECT_EQ(link.b.received, kBytes);
    EXPECT_EQ(link.a.received, kBytes);
    EXPECT_TRUE(link.a.intact && link.b.intact);
    EXPECT_EQ(link.a.close_code + link.b.close_code, "");
  }
}

INSTANTIATE_TEST_SUITE_P(Paths, Intact,
                         testing::Values(Conditions{"clean", {.delay = 5ms}}, Conditions{"loss1", {.delay = 5ms, .loss = 0.01}},
                                         Conditions{"loss5", {.delay = 5ms, .loss = 0.05}},
                                         Conditions{"loss20", {.delay = 5ms, .loss = 0.2}},
                                         Conditions{"jitter", {.delay = 5ms, .jitter = 20ms}},
                                         Conditions{"reorder", {.delay = 5ms, .reorder = 0.1}},
                                         Conditions{"duplicate", {.delay = 5ms, .duplicate = 0.2}},
                                         Conditions{"all", {.delay = 5ms, .jitter = 3ms, .loss = 0.03, .duplicate = 0.05, .reorder = 0.05}},
                                         Conditions{"narrow", {.delay = 20ms, .rate_bps = 20e6, .queue_bytes = 20000}},
                                         Conditions{"small_mtu", {.delay = 5ms, .mtu = 1172}}),
                         [](const auto& param) { return param.param.name; });

TEST(Recovery, NoLossMeansNoRetransmission) {
  Link link({.delay = 20ms, .rate_bps = 50e6});
  link.a.send(5 << 20);
  ASSERT_TRUE(link.until_received(5 << 20, 20s));
  EXPECT_EQ(link.a.stream->stats().packets_retransmitted, 0u);
}

TEST(Recovery, LostTailIsProbedWithinTwoRoundTrips) {
  Link link({.delay = 50ms});
  link.a.send(20000);
  ASSERT_TRUE(link.until_received(20000, 5s));
  link.world.run_for(200ms);
  link.world.set_one_way(link.ha, link.hb, {.delay = 50ms, .loss = 1});
  link.a.send(500);
  link.world.run_for(10ms);
  link.world.set_one_way(link.ha, link.hb, {.delay = 50ms});
  const TimePoint start = link.world.now();
  ASSERT_TRUE(link.until_received(20500, 5s));
  EXPECT_LT(link.world.now() - start, 300ms);
  EXPECT_EQ(link.a.stream->stats().tlp_count, 1u);
  EXPECT_EQ(link.a.stream->stats().rto_count, 0u);
}

TEST(Recovery, ReorderingIsNotTakenForLossForLong) {
  Link link({.delay = 20ms, .jitter = 4ms});
  link.a.send(20 << 20);
  ASSERT_TRUE(link.until_received(20 << 20, 60s));
  const auto stats = link.a.stream->stats();
  EXPECT_LT(static_cast<double>(stats.packets_retransmitted), 0.01 * static_cast<double>(stats.packets_sent));
  EXPECT_TRUE(link.b.intact);
}

TEST(Recovery, DeadPeerIsNoticedInUnderTenSeconds) {
  Link link({.delay = 20ms});
  link.a.send(100000);
  ASSERT_TRUE(link.until_received(100000, 5s));
  link.world.run_for(60s);
  EXPECT_EQ(link.a.closes, 0);  // silence alone is no death
  link.hb.set_up(false);
  const TimePoint start = link.world.now();
  link.a.send(100);
  ASSERT_TRUE(link.world.run_until([&] { return link.a.closes == 1; }, 20s));
  EXPECT_EQ(link.a.close_code, "ETIMEDOUT");
  EXPECT_GE(link.world.now() - start, 7900ms);
  EXPECT_LT(link.world.now() - start, 10s);
}

TEST(Recovery, PeerThatNeverAnsweredIsNoticed) {
  Link link({.delay = 20ms});
  link.hb.set_up(false);
  link.a.send(100);
  const TimePoint start = link.world.now();
  ASSERT_TRUE(link.world.run_until([&] { return link.a.closes == 1; }, 20s));
  EXPECT_EQ(link.a.close_code, "ETIMEDOUT");
  EXPECT_LT(link.world.now() - start, 10s);
}

TEST(Recovery, PeerThatDiesWithAClosedWindowIsNoticed) {
  StreamOptions options;
  options.receive_window = 64 << 10;
  Link link({.delay = 20ms}, 1, options);
  link.b.stream->pause_reading();
  link.a.send(1 << 20);
  link.world.run_for(30s);
  EXPECT_EQ(link.a.closes, 0);
  link.hb.set_up(false);
  const TimePoint start = link.world.now();
  ASSERT_TRUE(link.world.run_until([&] { return link.a.closes == 1; }, 20s));
  EXPECT_EQ(link.a.close_code, "ETIMEDOUT");
  EXPECT_LT(link.world.now() - start, 12s);
}

TEST(Recovery, PeerThatStillTalksIsNotDead) {
  Link link({.delay = 20ms});
  link.a.send(1000);
  ASSERT_TRUE(link.until_received(1000, 5s));
  link.world.set_one_way(link.ha, link.hb, {.delay = 20ms, .loss = 1});
  link.a.send(100);
  for (int i = 0; i < 20; ++i) {
    link.b.stream->probe_peer();
    link.world.run_for(1s);
  }
  EXPECT_EQ(link.a.closes, 0);
}

TEST(Recovery, OutageOfSixSecondsIsSurvived) {
  Link link({.delay = 20ms, .rate_bps = 20e6});
  link.a.send(10 << 20);
  link.world.run_for(1s);
  link.cut(true);
  link.world.run_for(6s);
  link.cut(false);
  ASSERT_TRUE(link.until_received(10 << 20, 20s));
  EXPECT_TRUE(link.b.intact);
  EXPECT_EQ(link.a.closes, 0);
}

TEST(Recovery, PathThatComesBackIsNoticedSoon) {
  Link link({.delay = 200ms, .rate_bps = 1e6, .queue_bytes = 50000});
  link.a.send(10 << 20);
  link.world.run_for(10s);
  link.cut(true);
  link.world.run_for(5s);
  const uint64_t before = link.b.received;
  link.cut(false);
  const TimePoint start = link.world.now();
  ASSERT_TRUE(link.world.run_until([&] { return link.b.received > before; }, 20s));
  EXPECT_LT(link.world.now() - start, 800ms);  // a question each 100 ms, its answer, the repair
}

TEST(Recovery, SilenceIsAskedWithSmallPackets) {
  Link link({.delay = 200ms, .rate_bps = 1e6, .queue_bytes = 50000});
  link.a.send(10 << 20);
  link.world.run_for(10s);
  link.world.set_path(link.ha, link.hb, {.loss = 1});
  link.world.run_for(1500ms);
  const auto before = link.world.counters(link.ha, link.hb);
  link.world.run_for(5s);
  const auto after = link.world.counters(link.ha, link.hb);
  EXPECT_GE(after.sent - before.sent, 20u);
  EXPECT_LE(after.bytes - before.bytes, 10000u);
}

TEST(Recovery, LittleIsQueuedBeforeASlowPath) {
  Link link({.delay = 400ms, .rate_bps = 256e3, .queue_bytes = 45000});
  link.a.send(1 << 20, false, 4096);
  link.world.run_for(10s);
  EXPECT_LE(link.a.stream->queued_bytes(), 12288u);
  EXPECT_LE(link.a.stream->write_size(), 4096u);
  EXPECT_GE(static_cast<double>(link.b.received) * 8 / 10, 0.75 * 256e3);
}

TEST(Recovery, HostsThatAnswerInGulpsDoNotSlowAShortPath) {
  Link link({.delay = 100us, .swing = 6ms, .rate_bps = 1e9}, 3);
  link.a.content = link.b.content = false;
  link.a.send(1ull << 40);
  link.world.run_for(2s);
  EXPECT_GE(link.rate_over(1s), 0.88e9);
}

TEST(Recovery, MtuRisesAndPacketsAreCutLarger) {
  Link link({.delay = 10ms});
  link.a.send(1 << 20);
  ASSERT_TRUE(link.until_received(1 << 20, 5s));
  EXPECT_EQ(link.a.stream->stats().mtu, 1500u);
  EXPECT_EQ(link.a.stream->stats().packets_retransmitted, 0u);
}

TEST(Recovery, BlackHoleOnTheWayIsSurvived) {
  Link link({.delay = 10ms, .rate_bps = 50e6});
  link.a.send(20 << 20);
  link.world.run_for(500ms);
  ASSERT_EQ(link.a.stream->stats().mtu, 1500u);
  link.world.set_path(link.ha, link.hb, {.delay = 10ms, .rate_bps = 50e6, .mtu = 1300});
  ASSERT_TRUE(link.until_received(20 << 20, 20s));
  EXPECT_TRUE(link.b.intact);
  EXPECT_EQ(link.a.closes, 0);
  EXPECT_EQ(link.a.stream->stats().mtu, 1200u);
  EXPECT_GT(link.pa.socket->fragmentable, 0);
  EXPECT_LT(link.pa.socket->fragmentable, 250);  // only what was cut for the wider path
}

// What was cut for the old path can never arrive, and is all that the peer waits for.
TEST(Recovery, StreamWhoseOldestPacketCannotArriveEnds) {
  Link link({.delay = 10ms, .rate_bps = 50e6});
  link.a.send(20 << 20);
  link.world.run_for(500ms);
  ASSERT_EQ(link.a.stream->stats().mtu, 1500u);
  link.world.set_path(link.ha, link.hb, {.delay = 10ms, .rate_bps = 50e6, .mtu = 1300, .fragments = false});
  const TimePoint start = link.world.now();
  ASSERT_TRUE(link.until_closed(120s));
  EXPECT_EQ(link.a.close_code, "ETIMEDOUT");
  EXPECT_EQ(link.b.close_code, "ECONNRESET");  // it is there, and is told
  EXPECT_GE(link.world.now() - start, 29s);
  EXPECT_LT(link.world.now() - start, 35s);
}

TEST(Recovery, PathBelowTheBaseSizeGetsFragments) {
  Link link({.delay = 10ms, .rate_bps = 50e6, .mtu = 1000});
  link.a.send(10 << 20);
  ASSERT_TRUE(link.until_received(10 << 20, 10s));
  EXPECT_TRUE(link.b.intact);
}

TEST(Recovery, PathMayFallBelowTheBaseSizeAndRecover) {
  Link link({.delay = 10ms, .rate_bps = 50e6});
  link.a.send(40 << 20);
  link.world.run_for(300ms);
  link.world.set_path(link.ha, link.hb, {.delay = 10ms, .rate_bps = 50e6, .mtu = 1000});
  ASSERT_TRUE(link.until_received(20 << 20, 10s));
  link.world.set_path(link.ha, link.hb, {.delay = 10ms, .rate_bps = 50e6});
  link.world.run_for(1s);
  const int before = link.pa.socket->fragmentable;
  ASSERT_TRUE(link.until_received(40 << 20, 10s));
  EXPECT_TRUE(link.b.intact);
  EXPECT_EQ(link.pa.socket->fragmentable, before);
}

TEST(Recovery, FreshPathIsNotTakenForANarrowOne) {
  Link link({.delay = 10ms, .rate_bps = 50e6, .mtu = 1000});
  link.a.send(40 << 20);
  ASSERT_TRUE(link.until_received(10 << 20, 10s));
  link.cut(true);
  link.world.run_for(2s);
  link.cut(false);
  link.world.set_path(link.ha, link.hb, {.delay = 10ms, .rate_bps = 50e6});
  const int before = link.pa.socket->fragmentable;
  link.a.stream->relocate(*link.pa.socket, link.at_b(), link.b.stream->id());
  ASSERT_TRUE(link.until_received(40 << 20, 20s));
  EXPECT_EQ(link.pa.socket->fragmentable, before);
  EXPECT_EQ(link.a.stream->stats().mtu, 1500u);
}

TEST(Recovery, OutageIsNotTakenForANarrowPath) {
  Link link({.delay = 20ms, .rate_bps = 20e6});
  link.a.send(10 << 20);
  link.world.run_for(1s);
  link.cut(true);
  link.world.run_for(6s);
  link.cut(false);
  ASSERT_TRUE(link.until_received(10 << 20, 20s));
  EXPECT_LE(link.pa.socket->fragmentable, 200);  // what was cut for the wider path, and what follows until one packet arrives whole
}

TEST(Recovery, SilenceIsNoStandstill) {
  Link link({.delay = 300ms});
  link.a.stream->set_dead_after(90s);
  link.a.send(1000);
  ASSERT_TRUE(link.until_received(1000, 5s));
  link.world.run_for(1s);
  link.cut(true);
  link.a.send(1000);
  link.world.run_for(55s);
  link.cut(false);
  ASSERT_TRUE(link.until_received(2000, 5s));
  link.world.run_for(5s);
  EXPECT_EQ(link.a.closes, 0);
}

TEST(Recovery, ReaderThatPausesForLongIsNoStandstill) {
  StreamOptions options;
  options.receive_window = 64 << 10;
  Link link({.delay = 20ms, .loss = 0.05}, 1, options);
  link.b.stream->pause_reading();
  link.a.send(1 << 20);
  link.world.run_for(120s);
  EXPECT_EQ(link.a.closes, 0);
  link.b.stream->resume_reading();
  ASSERT_TRUE(link.until_received(1 << 20, 10s));
  EXPECT_TRUE(link.b.intact);
}

TEST(Recovery, ReceiverThatSaysItIsFullIsNoStandstill) {
  Link link({.delay = 20ms});
  link.pb.on_raw = [&](const Endpoint& from, ByteView) {
    link.pb.socket->send(from, raw_packet({0, 0, link.a.stream->id(), 0, 0, 0}), UdpSocket::kDefaultTtl);
    return true;
  };
  link.a.send(1000);
  link.world.run_for(60s);
  EXPECT_EQ(link.a.closes, 0);
  link.pb.on_raw = nullptr;
  EXPECT_TRUE(link.until_received(1000, 5s));
}

TEST(Recovery, KernelSaysTooBig) {
  Link link({.delay = 10ms});
  link.pa.socket->too_big_above = 1300;
  link.a.send(1 << 20);
  ASSERT_TRUE(link.until_received(1 << 20, 10s));
  EXPECT_TRUE(link.b.intact);
  EXPECT_LE(link.a.stream->stats().mtu, 1328u);
  link.pa.socket->too_big_above = 1100;  // below what every path should take
  link.a.send(1 << 20);
  ASSERT_TRUE(link.until_received(2 << 20, 10s));
  EXPECT_TRUE(link.b.intact);
}

TEST(Recovery, ProbeThatMustGoInFragmentsHasNoPadding) {
  Link link({.delay = 10ms});
  link.a.send(5 * 1152);
  link.world.run_for(5ms);
  link.pa.socket->verdict = SendResult::kWouldBlock;
  link.a.send(2 * 1152);
  link.world.run_for(5ms);
  link.a.send(10 * 1152);
  link.world.run_for(20ms);  // the first are acknowledged: the next new packet is a probe, behind two that are refused
  link.pa.socket->too_big_above = 1100;
  link.pa.socket->verdict = SendResult::kSent;
  link.pa.socket->become_writable();
  ASSERT_TRUE(link.until_received(17 * 1152, 5s));
  EXPECT_TRUE(link.b.intact);
}

TEST(Recovery, InterfaceLimitIsKept) {
  Link link({.delay = 10ms}, 1, {}, false);
  link.pa.socket->interface_mtu = 1400 - 28;
  test::join(link.a, link.b, link.ha.address(), link.hb.address());
  link.a.send(1 << 20);
  ASSERT_TRUE(link.until_received(1 << 20, 10s));
  EXPECT_EQ(link.a.stream->stats().mtu, 1400u);
}

TEST(Recovery, FullSocketIsWaitedFor) {
  Link link({.delay = 10ms});
  link.a.send(1 << 20);
  link.world.run_for(35ms);
  for (int i = 0; i < 50; ++i) {
    link.pa.socket->verdict = SendResult::kWouldBlock;
    link.world.run_for(5ms);
    link.pa.socket->verdict = SendResult::kSent;
    link.pa.socket->become_writable();
    link.world.run_for(3ms);
  }
  ASSERT_TRUE(link.until_received(1 << 20, 10s));
  EXPECT_TRUE(link.b.intact);
  EXPECT_LT(link.a.stream->stats().packets_retransmitted, 20u);
}

TEST(Recovery, BlockedAckIsSentLater) {
  Link link({.delay = 10ms});
  link.pb.socket->verdict = SendResult::kWouldBlock;
  link.a.send(1000);
  link.world.run_for(100ms);
  EXPECT_EQ(link.sent_by_b(), 0u);
  link.pb.socket->verdict = SendResult::kSent;
  link.pb.socket->become_writable();
  link.world.run_for(20ms);
  EXPECT_EQ(link.sent_by_b(), 1u);
}

TEST(Recovery, RefusedDatagramsCountAsLost) {
  Link link({.delay = 10ms});
  link.a.send(1 << 20);
  link.world.run_for(35ms);
  link.pa.socket->verdict = SendResult::kFailed;
  link.world.run_for(2s);
  link.pa.socket->verdict = SendResult::kSent;
  ASSERT_TRUE(link.until_received(1 << 20, 10s));
  EXPECT_TRUE(link.b.intact);
}

}  // namespace
}  // namespace hg::udx
