// The life of a stream: connect, packets exactly counted, ends, messages, windows.
#include <gtest/gtest.h>

#include "sim/world.h"
#include "udx/test_link.h"

namespace hg::udx {
namespace {

using sim::Path;
using test::App;
using test::Peer;
using test::raw_packet;
using Link = test::BasicLink<sim::World, sim::Host, Path>;

TEST(Stream, OneSmallWriteIsOnePacketAndOneAck) {
  Link link({.delay = 10ms});
  link.a.send(5);
  ASSERT_TRUE(link.until_received(5, 1s));
  link.world.run_for(5s);
  EXPECT_TRUE(link.b.intact);
  EXPECT_EQ(link.sent_by_a(), 1u);
  EXPECT_EQ(link.sent_by_b(), 1u);
  EXPECT_EQ(link.b.bursts, 1);
}

TEST(Stream, WritesOfOneTurnShareAPacket) {
  Link link({.delay = 10ms});
  link.a.send(1000, false, 10);
  ASSERT_TRUE(link.until_received(1000, 1s));
  link.world.run_for(5s);
  EXPECT_TRUE(link.b.intact);
  EXPECT_EQ(link.sent_by_a(), 1u);
}

TEST(Stream, FullPacketsLeaveInOneRun) {
  Link link({.delay = 10ms});
  link.a.send(9 * 1152 + 100);
  ASSERT_TRUE(link.until_received(9 * 1152 + 100, 1s));
  EXPECT_EQ(link.pa.socket->runs, 1);
  EXPECT_EQ(link.pa.socket->datagrams, 10);
  EXPECT_EQ(link.sent_by_b(), 1u);  // one ack for the batch
  EXPECT_EQ(link.b.bursts, 1);
}

TEST(Stream, EndTravelsWithTheLastData) {
  Link link({.delay = 10ms});
  link.a.send(5, true);
  link.b.end_when_ended = true;
  ASSERT_TRUE(link.until_closed(2s));
  link.world.run_for(5s);
  EXPECT_TRUE(link.b.ended && link.a.ended);
  // A: DATA|END, final ack. B: END with the ack in it.
  EXPECT_EQ(link.sent_by_a(), 2u);
  EXPECT_EQ(link.sent_by_b(), 1u);
  EXPECT_EQ(link.a.close_code + link.b.close_code, "");
  EXPECT_EQ(link.pa.mux.stream_count(), 0u);
}

TEST(Stream, HalfCloseLeavesTheOtherDirectionOpen) {
  Link link({.delay = 10ms, .loss = 0.02});
  link.a.send(100, true);
  ASSERT_TRUE(link.world.run_until([&] { return link.b.ended; }, 5s));
  link.world.run_for(3s);
  EXPECT_EQ(link.a.closes + link.b.closes, 0);
  link.b.send(500000, true);
  ASSERT_TRUE(link.until_closed(20s));
  EXPECT_EQ(link.a.received, 500000u);
  EXPECT_TRUE(link.a.intact);
}

TEST(Stream, DestroyResetsThePeer) {
  Link link({.delay = 10ms});
  link.a.send(10);
  ASSERT_TRUE(link.until_received(10, 1s));
  link.a.stream->destroy();
  EXPECT_EQ(link.a.closes, 0);  // never from inside the call
  ASSERT_TRUE(link.until_closed(1s));
  EXPECT_EQ(link.a.close_code, "");
  EXPECT_EQ(link.b.close_code, "ECONNRESET");
  link.a.stream->destroy();
  EXPECT_TRUE(link.a.stream->write(Buffer::copy_of(as_bytes("late"))));
  link.world.run_for(10s);
  EXPECT_EQ(link.a.closes, 1);
  EXPECT_EQ(link.b.closes, 1);
}

TEST(Stream, LostDestroyIsRepeatedToAPeerThatGoesOn) {
  Link link({.delay = 10ms});
  link.a.send(10);
  ASSERT_TRUE(link.until_received(10, 1s));
  link.ha.set_up(false);
  link.a.stream->destroy();
  link.world.run_for(1s);
  link.ha.set_up(true);
  link.b.send(10);
  ASSERT_TRUE(link.until_closed(1s));
  EXPECT_EQ(link.b.close_code, "ECONNRESET");
}

TEST(Stream, LostLastAckIsRepeated) {
  Link link({.delay = 10ms});
  link.a.send(10, true);
  ASSERT_TRUE(link.world.run_until([&] { return link.b.ended; }, 1s));
  link.world.run_for(1s);
  link.b.stream->end();
  link.world.run_for(5ms);
  link.world.set_one_way(link.ha, link.hb, {.delay = 10ms, .loss = 1});  // A's last ack gets lost
  ASSERT_TRUE(link.world.run_until([&] { return link.a.closes == 1; }, 1s));
  link.world.set_one_way(link.ha, link.hb, {.delay = 10ms});
  ASSERT_TRUE(link.until_closed(3s));
  EXPECT_EQ(link.b.close_code, "");
}

TEST(Stream, BareEndWithoutAnswerClosesGracefully) {
  Link link({.delay = 10ms});
  link.a.send(10, true);
  ASSERT_TRUE(link.world.run_until([&] { return link.b.ended; }, 1s));
  link.world.run_for(1s);
  link.b.stream->end();
  link.world.run_for(15ms);
  link.ha.set_up(false);
  ASSERT_TRUE(link.world.run_until([&] { return link.b.closes == 1; }, 8s));
  EXPECT_EQ(link.b.close_code, "");
}

TEST(Stream, MessagesAreUnorderedPackets) {
  Link link({.delay = 10ms}, 1, {}, false);
  EXPECT_FALSE(link.a.stream->send_message(as_bytes("early")));
  test::join(link.a, link.b, link.ha.address(), link.hb.address());
  std::vector<std::string> got;
  link.b.stream->set_message_handler([&](ByteView message) { got.emplace_back(as_text(message)); });
  EXPECT_TRUE(link.a.stream->send_message(as_bytes("one")));
  EXPECT_TRUE(link.a.stream->send_message({}));
  EXPECT_TRUE(link.a.stream->send_message(Bytes(1152)));
  EXPECT_FALSE(link.a.stream->send_message(Bytes(1153)));
  link.world.run_for(5s);
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0], "one");
  EXPECT_EQ(got[1], "");
  EXPECT_EQ(link.sent_by_b(), 0u);  // not acknowledged
}

TEST(Stream, DataBeforeConnectIsAcknowledgedAtConnect) {
  Link link({.delay = 10ms}, 1, {}, false);
  int asked = 0;
  link.b.stream->set_firewall([&](UdpSocket& socket, const Endpoint& from) {
    ++asked;
    return &socket == link.pb.socket.get() && from == link.at_a();
  });
  link.a.stream->connect(*link.pa.socket, link.at_b(), link.b.stream->id());
  link.a.send(3000);
  ASSERT_TRUE(link.until_received(3000, 100ms));
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(link.sent_by_b(), 0u);
  link.b.stream->connect(*link.pb.socket, link.at_a(), link.a.stream->id());
  link.world.run_for(50ms);
  EXPECT_EQ(link.sent_by_b(), 1u);
  EXPECT_EQ(link.a.stream->stats().in_flight, 0u);
}

TEST(Stream, FirewallMayConnect) {
  Link link({.delay = 10ms}, 1, {}, false);
  link.b.stream->set_firewall([&](UdpSocket& socket, const Endpoint& from) {
    link.b.stream->connect(socket, from, link.a.stream->id());
    return true;
  });
  link.a.stream->connect(*link.pa.socket, link.at_b(), link.b.stream->id());
  link.a.send(3000, true);
  link.b.end_when_ended = true;
  ASSERT_TRUE(link.until_closed(1s));
  EXPECT_EQ(link.b.received, 3000u);
}

TEST(Stream, WithoutFirewallForeignSocketsAreRefused) {
  Link link({.delay = 10ms}, 1, {}, false);
  link.a.stream->connect(*link.pa.socket, link.at_b(), link.b.stream->id());
  link.a.send(10);
  link.world.run_for(500ms);
  EXPECT_EQ(link.b.received, 0u);
  EXPECT_GE(link.pb.mux.counters().refused, 1u);
  EXPECT_EQ(link.sent_by_b(), 0u);
}

TEST(Stream, AcceptsAnySourceAddressButKeepsThePeer) {
  Link link({.delay = 10ms});
  link.world.set_default_path({.delay = 10ms});
  link.a.send(10);
  ASSERT_TRUE(link.until_received(10, 1s));
  const Endpoint before = link.b.stream->remote();
  link.ha.set_address(parse_ipv4("10.0.0.9").value());
  link.a.send(10);
  ASSERT_TRUE(link.until_received(20, 1s));
  EXPECT_EQ(link.b.stream->remote(), before);
}

TEST(Stream, APlaceThatNeverSpokeGetsNoMoreThanOthersSend) {
  Link link({.delay = 10ms}, 1, {}, false);
  link.world.set_default_path({.delay = 10ms});
  sim::Host& other = link.world.add_host("6.6.6.6");
  const auto x = std::move(*other.open_udp({0, 0}));
  size_t in = 0;
  size_t out = 0;
  size_t largest = 0;
  link.pa.on_raw = [&](const Endpoint&, ByteView data) {
    out += data.size();
    largest = std::max(largest, data.size());
    return true;
  };
  const auto say = [&](const Bytes& packet, UdpSocket& from) {
    in += packet.size();
    from.send(link.at_b(), packet, UdpSocket::kDefaultTtl);
    link.world.run_for(5ms);
  };
  link.b.stream->connect(*link.pb.socket, link.at_a(), 7);
  const Bytes question = raw_packet({wire::kUdxHeartbeat, 0, link.b.stream->id(), 1000, 0, 0});
  for (uint32_t seq = 1; seq < 100; seq += 2) say(raw_packet({wire::kUdxData, 0, link.b.stream->id(), 1000, seq, 0}, as_bytes("x")), *x);
  for (int i = 0; i < 100; ++i) say(question, *x);
  EXPECT_GT(out, 0u);
  EXPECT_LE(out, in);
  say(question, *link.pa.socket);
  link.world.run_for(100ms);
  EXPECT_EQ(largest, wire::kUdxHeaderSize + wire::kUdxMaxSackRanges * wire::kUdxSackRangeSize) << "the peer itself is told of every gap";
}

TEST(Stream, APeerSeenUnderAnotherAddressStillLearnsOfGaps) {
  Link link({.delay = 10ms, .loss = 0.02});
  const auto elsewhere = link.pa.open();  // as a router may show a neighbour that was called by its outer address
  link.a.stream->set_firewall([](UdpSocket&, const Endpoint&) { return true; });
  link.b.stream->connect(*link.pb.socket, {link.ha.address(), elsewhere->local_endpoint().port}, link.a.stream->id());
  link.a.send(3000000);
  ASSERT_TRUE(link.until_received(3000000, 20s));
  EXPECT_TRUE(link.b.intact);
  EXPECT_EQ(link.a.stream->stats().rto_count, 0u);
}

TEST(Stream, StrayPacketsAreCountedAndNotAnswered) {
  Link link({.delay = 10ms});
  const Bytes stray = raw_packet({wire::kUdxData, 0, link.b.stream->id() + 1, 1000, 0, 0}, as_bytes("x"));
  link.pa.socket->send(link.at_b(), stray, UdpSocket::kDefaultTtl);
  link.pa.socket->send(link.at_b(), as_bytes("neither"), UdpSocket::kDefaultTtl);
  link.world.run_for(1s);
  EXPECT_EQ(link.pb.mux.counters().unknown_stream, 1u);
  EXPECT_EQ(link.pb.strays, 2);
  EXPECT_EQ(link.sent_by_b(), 0u);
}

TEST(Stream, HeartbeatIsAnswered) {
  Link link({.delay = 10ms});
  link.world.run_for(1s);
  link.a.stream->probe_peer();
  link.world.run_for(1s);
  EXPECT_EQ(link.sent_by_b(), 1u);
  EXPECT_EQ(link.world.now() - link.a.stream->last_heard(), 980ms);
}

TEST(Stream, PaddingIsSkipped) {
  Link link({.delay = 10ms});
  Bytes body(40);
  const Buffer text = test::pattern(0, 10);
  append_bytes(body, text.view());
  link.pa.socket->send(link.at_b(), raw_packet({wire::kUdxData, 40, link.b.stream->id(), 1 << 20, 0, 0}, body), UdpSocket::kDefaultTtl);
  ASSERT_TRUE(link.until_received(10, 1s));
  EXPECT_TRUE(link.b.intact);
}

TEST(Stream, WriteReportsFullAndDrainFollows) {
  StreamOptions options;
  options.write_high_water = 100000;
  Link link({.delay = 10ms}, 1, options);
  EXPECT_TRUE(link.a.stream->write(test::pattern(0, 60000)));
  EXPECT_FALSE(link.a.stream->write(test::pattern(60000, 60000)));
  EXPECT_EQ(link.a.stream->queued_bytes(), 120000u);
  EXPECT_EQ(link.a.drains, 0);
  ASSERT_TRUE(link.until_received(120000, 5s));
  EXPECT_EQ(link.a.drains, 1);
}

TEST(Stream, PausedReaderClosesTheWindow) {
  StreamOptions options;
  options.receive_window = 64 << 10;
  Link link({.delay = 10ms}, 1, options);
  link.b.stream->pause_reading();
  link.a.send(1 << 20);
  link.world.run_for(20s);
  EXPECT_EQ(link.b.received, 0u);
  const auto stats = link.a.stream->stats();
  EXPECT_LE(stats.bytes_sent, (64u << 10) + 1472);
  EXPECT_EQ(link.a.closes, 0);  // the peer answers the probes
  const TimePoint resumed = link.world.now();
  link.b.stream->resume_reading();
  ASSERT_TRUE(link.until_received(1 << 20, 10s));
  EXPECT_TRUE(link.b.intact);
  EXPECT_LT(link.world.now() - resumed, 2s);
}

TEST(Stream, LostWindowUpdateIsRecoveredByAProbe) {
  StreamOptions options;
  options.receive_window = 64 << 10;
  Link link({.delay = 10ms}, 1, options);
  link.b.stream->pause_reading();
  link.a.send(1 << 20);
  link.world.run_for(5s);
  link.hb.set_up(false);
  link.b.stream->resume_reading();
  link.world.run_for(10ms);
  link.hb.set_up(true);
  ASSERT_TRUE(link.until_received(1 << 20, 6s));
}

TEST(Stream, WindowOfAFewBytesStillAllowsOnePacket) {
  StreamOptions options;
  options.receive_window = 100;
  Link link({.delay = 1ms}, 1, options);
  link.a.send(20000);
  ASSERT_TRUE(link.until_received(20000, 20s));
  EXPECT_TRUE(link.b.intact);
}

TEST(Stream, EverythingWaitsForAHandler) {
  Link link({.delay = 10ms});
  link.b.stream->set_handler(nullptr);
  link.a.send(50000, true);
  link.world.run_for(2s);
  EXPECT_EQ(link.b.received, 0u);
  link.b.stream->set_handler(&link.b);
  link.world.run_for(1s);
  EXPECT_EQ(link.b.received, 50000u);
  EXPECT_TRUE(link.b.intact && link.b.ended);
  link.b.stream->set_handler(nullptr);
  link.a.stream->destroy();
  link.world.run_for(1s);
  EXPECT_EQ(link.b.closes, 0);
  link.b.stream->set_handler(&link.b);
  link.world.run_for(1ms);
  EXPECT_EQ(link.b.closes, 1);
}

TEST(Stream, HandlerMayLetGoOfTheStreamInOnClose) {
  Link link({.delay = 10ms});
  struct Releasing : ByteStreamHandler {
    void on_data(ByteView) override {}
    void on_close(const std::optional<Error>&) override { stream.reset(); }
    std::unique_ptr<Stream> stream;
  } owner;
  owner.stream = std::move(link.b.stream);
  owner.stream->set_handler(&owner);
  link.a.send(10);
  link.world.run_for(50ms);
  link.a.stream->destroy();
  link.world.run_for(1s);
  EXPECT_EQ(owner.stream, nullptr);
  EXPECT_EQ(link.pb.mux.stream_count(), 0u);
}

TEST(Stream, LettingGoOfAnOpenStreamTellsThePeer) {
  Link link({.delay = 10ms});
  link.a.send(10);
  link.world.run_for(50ms);
  link.b.stream.reset();
  ASSERT_TRUE(link.world.run_until([&] { return link.a.closes == 1; }, 1s));
  EXPECT_EQ(link.a.close_code, "ECONNRESET");
}

TEST(Stream, ChangeRemoteMovesToTheNewSocket) {
  Link link({.delay = 10ms});
  auto second_a = link.pa.open();
  auto second_b = link.pb.open();
  link.b.stream->set_firewall([&](UdpSocket& socket, const Endpoint&) { return &socket == second_b.get(); });
  link.a.stream->set_firewall([](UdpSocket&, const Endpoint&) { return true; });  // its peer goes on using the old socket for a while
  link.a.send(200000);
  link.world.run_for(25ms);
  int changed = 0;
  const Endpoint new_b{link.hb.address(), second_b->local_endpoint().port};
  link.a.stream->change_remote(*second_a, new_b, link.b.stream->id(), [&] { ++changed; });
  EXPECT_EQ(link.a.stream->socket(), second_a.get());
  EXPECT_EQ(changed, 0);
  ASSERT_TRUE(link.until_received(200000, 5s));
  link.world.run_for(100ms);
  EXPECT_EQ(changed, 1);
  EXPECT_GT(second_a->datagrams, 50);
  EXPECT_TRUE(link.b.intact);
  link.b.stream->change_remote(*second_b, {link.ha.address(), second_a->local_endpoint().port}, link.a.stream->id(),
                               [&] { changed += 10; });
  link.world.run_for(1ms);
  EXPECT_EQ(changed, 11);  // nothing was in flight
  link.b.send(1000, true);
  link.a.stream->end();
  ASSERT_TRUE(link.until_closed(2s));
  EXPECT_EQ(link.a.received, 1000u);
}

TEST(Stream, RelocateCarriesOnWhereTheOldPathEnded) {
  Link link({.delay = 10ms});
  auto second_a = link.pa.open();
  auto second_b = link.pb.open();
  for (App* app : {&link.a, &link.b}) app->stream->set_firewall([](UdpSocket&, const Endpoint&) { return true; });
  link.a.send(2000000);
  link.b.send(700000);
  link.world.run_for(60ms);
  link.pa.socket->verdict = link.pb.socket->verdict = SendResult::kFailed;  // the old path takes nothing any more
  link.world.run_for(1500ms);
  const uint64_t before = link.b.received;
  ASSERT_LT(before, 2000000u);
  link.a.stream->relocate(*second_a, {link.hb.address(), second_b->local_endpoint().port}, link.b.stream->id());
  link.b.stream->relocate(*second_b, {link.ha.address(), second_a->local_endpoint().port}, link.a.stream->id());
  ASSERT_TRUE(link.world.run_until([&] { return link.b.received > before; }, 30ms)) << "at once";
  ASSERT_TRUE(link.until_received(2000000, 5s));
  ASSERT_TRUE(link.world.run_until([&] { return link.a.received == 700000; }, 5s));
  EXPECT_TRUE(link.a.intact && link.b.intact);
  EXPECT_EQ(link.b.received, 2000000u);
  EXPECT_GE(link.a.stream->stats().smoothed_rtt, 20ms);
  EXPECT_LT(link.a.stream->stats().smoothed_rtt, 60ms);
  link.a.stream.reset();  // before the sockets
  link.b.stream.reset();
}

TEST(Stream, RelocateAtTheSamePlaceRetransmitsAtOnce) {
  Link link({.delay = 10ms}, 3);
  link.a.send(300000);
  link.world.run_for(25ms);
  link.cut(true);
  link.world.run_for(5s);
  link.cut(false);
  const uint64_t before = link.b.received;
  link.a.stream->relocate(*link.pa.socket, link.at_b(), link.b.stream->id());
  ASSERT_TRUE(link.world.run_until([&] { return link.b.received > before; }, 15ms));
  ASSERT_TRUE(link.until_received(300000, 2s));
  EXPECT_TRUE(link.b.intact);
}

TEST(Stream, ASocketThatBlockedIsForgottenOnRelocation) {
  Link link({.delay = 10ms});
  auto second_a = link.pa.open();
  link.a.stream->set_firewall([](UdpSocket&, const Endpoint&) { return true; });
  link.pa.socket->verdict = SendResult::kWouldBlock;
  link.a.send(50000);
  link.world.run_for(10ms);
  second_a->verdict = SendResult::kWouldBlock;
  link.a.stream->relocate(*second_a, link.at_b(), link.b.stream->id());
  link.world.run_for(10ms);
  ASSERT_FALSE(second_a->waiting.empty()) << "the new socket's readiness is waited for";
  second_a->verdict = SendResult::kSent;
  second_a->become_writable();
  EXPECT_TRUE(link.until_received(50000, 2s));
  link.a.stream.reset();  // before the socket
}

TEST(Stream, MalformedPacketsChangeNothing) {
  Link link({.delay = 1ms}, 11);
  SeededRng rng(99);
  link.a.send(50000);
  link.b.send(50000);
  for (int i = 0; i < 20000; ++i) {
    Bytes body(rng.below(60));
    rng.fill(body);
    wire::UdxHeader header{static_cast<uint8_t>(rng.u32() & ~(wire::kUdxDestroy | wire::kUdxEnd | wire::kUdxData)),
                           static_cast<uint8_t>(rng.below(80)),
                           link.b.stream->id(),
                           rng.u32(),
                           rng.u32(),
                           0x80000000u | rng.u32()};
    if (rng.below(4) == 0) header.ack = link.a.stream->stats().packets_sent == 0 ? 0 : rng.below(3);
    link.pb.on_datagram(*link.pb.socket, link.at_a(), raw_packet(header, body));
    if (rng.below(50) == 0) {
      link.pb.on_drained(*link.pb.socket);
      link.world.run_for(1ms);
    }
  }
  link.pb.on_drained(*link.pb.socket);
  link.a.send(50000, true);
  link.b.stream->end();
  ASSERT_TRUE(link.world.run_until([&] { return link.b.received == 100000; }, 30s));
  EXPECT_TRUE(link.b.intact && link.a.intact);
  EXPECT_GT(link.pb.mux.counters().malformed, 100u);
}

}  // namespace
}  // namespace hg::udx
