#include "tunnel/session.h"

#include <gtest/gtest.h>

#include "support/log_lines.h"
#include "support/tunnel_members.h"

namespace hg::tunnel {
namespace {

using namespace test;

using SessionTest = MembersTest;

Buffer stream(uint32_t channel, ByteView data) { return make_frame({}, Action::kStream, channel, data); }

TEST_F(SessionTest, AnOldGatewayIsServedWithoutAnythingItDoesNotKnow) {
  Member provider(host_, false, true);
  provider.node->provider()->set_services({tcp(8080)});
  RawPeer old(host_, provider, 1, 2, true);
  run(10ms);
  EXPECT_EQ(1u, old.messages.size());  // the hello alone, until ours is verified
  old.say_hello();
  run(10ms);
  ASSERT_EQ(1u, old.count(Action::kAdvRoutes));
  EXPECT_EQ(
      R"({"routes":[{"serviceHost":"web","servicePort":80,"protocol":0,"gatePort":8080,"routes":[]}],"features":["flow","udp65507","udp-unordered","move","probe","early"]})",
      as_text(old.last(Action::kAdvRoutes)->body));
  Bytes gate_only = {0, 0, 0x1f, 0x90};  // the oldest form
  old.send(make_frame({}, Action::kOpen, 5, gate_only));
  old.send(stream(5, as_bytes("hello")));
  run(10ms);
  const Bytes confirmation = {0, 0, 0x1f, 0x90, 0};
  EXPECT_EQ(confirmation, to_bytes(old.last(Action::kOpen)->body));
  EXPECT_EQ("hello", provider.connector.last().text());
  provider.connector.last().push(5'000'000);
  run(1s);
  size_t got = 0;
  for (const auto& [message, bytes] : old.messages) {
    EXPECT_LE(message.action, 5);
    EXPECT_LE(message.body.size(), kMaxStreamBody);
    if (message.action == 2) got += message.body.size();
  }
  EXPECT_EQ(5'000'000u, got);
}

TEST_F(SessionTest, AWrongClockIsNamedOnceAMinuteHoweverOftenThePeerTries) {
  Member provider(host_, false, true);
  hg::test::LogLines lines;
  const auto attempt = [&] {
    RawPeer late(host_, provider, 1, 2, true);
    const AuthBlob auth = make_auth(router(), key(1), key(2), host_.wall_ms() - 1'200'000);
    late.send(make_frame({}, Action::kHello, 1, auth));
    run(1s);
    EXPECT_TRUE(late.closed);
  };
  for (int i = 0; i < 5; ++i) attempt();
  ASSERT_EQ(1u, lines.warnings.size());
  EXPECT_NE(std::string::npos, lines.warnings[0].find("its clock differs from ours by -1200 s; set the clocks")) << lines.warnings[0];
  run(60s);
  attempt();
  EXPECT_EQ(2u, lines.warnings.size());
}

TEST_F(SessionTest, ASlowReaderBehindAnOldProviderHoldsTheConnectionAndLosesNothing) {
  Limits limits;
  limits.max_buffer_per_channel = 1'000'000;
  Member gateway(host_, true, false, limits);
  RawPeer old(host_, gateway, 2, 1, false);
  old.say_hello();
  old.advertise({tcp(80)});
  ASSERT_TRUE(wait([&] { return !gateway.node->gateway()->gates().empty(); }));
  auto slow = open(gateway, 80);
  run(10ms);
  ASSERT_NE(nullptr, old.last(Action::kOpen));
  EXPECT_EQ(std::string::npos, as_text(old.last(Action::kOpen)->body).find("\"hg\""));
  const uint32_t channel = old.last(Action::kOpen)->channel;
  old.send(make_open_frame({}, channel, 80, Protocol::kTcp));
  run(10ms);
  EXPECT_TRUE(slow->opened);
  slow->reading = false;
  Bytes chunk(60'000);
  for (int i = 0; i < 100; ++i) {
    for (size_t k = 0; k < chunk.size(); ++k) chunk[k] = static_cast<uint8_t>((static_cast<size_t>(i) * chunk.size() + k) * 31);
    old.send(stream(channel, chunk));
  }
  run(5s);
  EXPECT_TRUE(old.far->paused());
  EXPECT_LE(slow->received, 1'100'000u);
  EXPECT_FALSE(slow->closed);
  slow->take_all();
  ASSERT_TRUE(wait([&] { return slow->received == 6'000'000; }));
  for (size_t i = 0; i < slow->bytes.size(); ++i) ASSERT_EQ(static_cast<uint8_t>(i * 31), slow->bytes[i]) << i;
  EXPECT_FALSE(old.far->paused());
  EXPECT_EQ(1u, gateway.node->counters().reads_paused);
}

TEST_F(SessionTest, AHeldConnectionGoesOnWhenItsSlowChannelIsClosed) {
  Limits limits;
  limits.max_buffer_per_channel = 100'000;
  Member gateway(host_, true, false, limits);
  RawPeer old(host_, gateway, 2, 1, false);
  old.say_hello();
  old.advertise({tcp(80)});
  run(10ms);
  auto slow = open(gateway, 80);
  auto other = open(gateway, 80);
  run(10ms);
  old.send(make_open_frame({}, 1, 80, Protocol::kTcp));
  old.send(make_open_frame({}, 2, 80, Protocol::kTcp));
  run(10ms);
  slow->reading = false;
  for (int i = 0; i < 4; ++i) old.send(stream(slow->channel->id(), Bytes(60'000)));
  old.send(stream(other->channel->id(), as_bytes("x")));
  run(10ms);
  EXPECT_TRUE(old.far->paused());
  EXPECT_EQ(0u, other->received);
  slow->channel->close();
  run(10ms);
  EXPECT_EQ(1u, other->received);
}

TEST_F(SessionTest, AWindowThatIsOverrunClosesTheChannelAlone) {
  Member gateway(host_, true, false);
  RawPeer peer(host_, gateway, 2, 1, false);
  peer.say_hello();
  peer.send(
      make_frame({}, Action::kAdvRoutes, 0, as_bytes(encode_advertisement(std::vector{tcp(80)}, {.flow = true, .big_datagrams = false}))));
  run(10ms);
  auto client = open(gateway, 80);
  run(10ms);
  ASSERT_NE(nullptr, peer.last(Action::kOpen));
  EXPECT_NE(std::string::npos, as_text(peer.last(Action::kOpen)->body).find(R"("hg":{"flow":2097152,"host":")"));
  peer.send(make_open_frame({}, 1, 80, Protocol::kTcp, R"({"hg":{"flow":100}})"));
  run(10ms);
  ASSERT_TRUE(client->opened);
  client->push(1000);
  run(10ms);
  EXPECT_EQ(100u, peer.last(Action::kStream)->body.size());
  peer.send(make_credit_frame({}, 1, 850));
  run(10ms);
  EXPECT_EQ(50u, client->to_send);
  client->reading = false;
  for (int i = 0; i < 35; ++i) peer.send(stream(1, Bytes(60'000)));
  run(10ms);
  EXPECT_TRUE(client->closed);
  EXPECT_EQ(CloseReason::kProtocol, client->reason);
  EXPECT_EQ(1u, gateway.node->counters().window_overruns);
  EXPECT_FALSE(peer.closed);
}

/// A provider that is asked first speaks ahead of its answer, then refuses; a real one takes over.
class SpeaksTooSoon : public SessionTest {
 protected:
  void refuse_after(const Buffer& said, int times) {
    rude_.say_hello();
    rude_.advertise({tcp(80)});
    run(10ms);
    client_ = open(gateway_, 80);
    client_->reading = false;
    run(10ms);
    ASSERT_EQ(1u, rude_.count(Action::kOpen));
    for (int i = 0; i < times; ++i) rude_.send(said);
    run(10ms);
    provider_.node->provider()->set_services({tcp(80)});
    connect(gateway_, 1, provider_, 3);
    ASSERT_TRUE(wait([&] { return gateway_.node->gateway()->routes().size() == 2; }));
    rude_.send(make_error_frame({}, Action::kOpen, 1, "no"));
    ASSERT_TRUE(wait([&] { return client_->opened; }));
  }

  Member gateway_{host_, true, false};
  Member provider_{host_, false, true};
  RawPeer rude_{host_, gateway_, 2, 1, false};
  std::unique_ptr<FakeSocket> client_;
};

TEST_F(SpeaksTooSoon, ItsBytesReachNobodyAndTheNextProvidersCountStaysRight) {
  refuse_after(stream(1, Bytes(60'000)), 50);
  client_->take_all();
  provider_.connector.last().say("200");
  run(10ms);
  EXPECT_EQ(3u, client_->received);
  auto other = open(gateway_, 80);
  ASSERT_TRUE(wait([&] { return other->opened; }));
  provider_.connector.last().push(5'000'000);
  EXPECT_TRUE(wait([&] { return other->received == 5'000'000; }));
  EXPECT_EQ(0u, gateway_.node->counters().reads_paused);
  EXPECT_EQ(50u, gateway_.node->counters().unknown_channels);
}

TEST_F(SpeaksTooSoon, ItsEndIsNotTheNextProviders) {
  refuse_after(make_frame({}, Action::kEnd, 1), 1);
  client_->take_all();
  provider_.connector.last().say("200");
  run(10ms);
  EXPECT_FALSE(client_->ended);
  EXPECT_EQ("200", client_->text());
  EXPECT_EQ(1u, gateway_.node->counters().unknown_channels);
}

TEST_F(SessionTest, TheFirstChannelsGetWideWindowsAndManyShareTheRest) {
  Limits limits;
  Member gateway(host_, true, false, limits);
  RawPeer peer(host_, gateway, 2, 1, false);
  peer.say_hello();
  peer.send(
      make_frame({}, Action::kAdvRoutes, 0, as_bytes(encode_advertisement(std::vector{tcp(80)}, {.flow = true, .big_datagrams = false}))));
  run(10ms);
  std::vector<std::unique_ptr<FakeSocket>> clients;
  for (int i = 0; i < 2000; ++i) clients.push_back(open(gateway, 80));  // none is confirmed yet: what was asked counts
  run(10ms);
  std::vector<uint32_t> windows;
  uint64_t promised = 0;
  for (const auto& [message, bytes] : peer.messages) {
    if (message.action != static_cast<uint8_t>(Action::kOpen)) continue;
    windows.push_back(parse_terms(parse_open(message.body)->json).window);
    promised += windows.back();
  }
  ASSERT_EQ(windows.size(), clients.size());
  EXPECT_EQ(windows.front(), limits.initial_window);
  EXPECT_EQ(windows[60], limits.min_window) << "until all is promised";
  EXPECT_TRUE(std::is_sorted(windows.rbegin(), windows.rend()));
  EXPECT_GT(windows.back(), 16'384u);
  EXPECT_LE(promised, 3 * limits.max_buffer_per_peer);
}

TEST_F(SessionTest, NothingIsHeardBeforeTheHello) {
  Member gateway(host_, true, false);
  RawPeer peer(host_, gateway, 2, 1, false);
  peer.advertise({tcp(80)});
  peer.say_hello();
  run(10ms);
  EXPECT_TRUE(gateway.node->gateway()->gates().empty());
  EXPECT_EQ(1u, gateway.node->counters().before_hello);
  peer.say_hello();  // ignored, although it is a replay
  peer.advertise({tcp(80)});
  run(10ms);
  EXPECT_EQ(1u, gateway.node->gateway()->gates().size());
  EXPECT_FALSE(peer.closed);
}

TEST_F(SessionTest, BeforeTheHelloFramesAndMessagesAreShort) {
  Member gateway(host_, true, false);
  RawPeer frame(host_, gateway, 2, 1, false), message(host_, gateway, 3, 1, false), honest(host_, gateway, 4, 1, false);
  frame.raw(Bytes{0x00, 0x50, 0x00, 0x00});
  message.raw(Bytes(100'000));
  honest.say_hello();
  Service wordy = tcp(80);
  wordy.ingress_policy = R"({"$":")" + std::string(100'000, 'x') + R"("})";
  honest.advertise({wordy});
  run(10ms);
  EXPECT_TRUE(frame.closed);
  EXPECT_TRUE(message.closed);
  EXPECT_EQ(1u, gateway.node->counters().oversized_frames);
  EXPECT_FALSE(honest.closed);
  EXPECT_EQ(1u, gateway.node->gateway()->routes().size());
}

TEST_F(SessionTest, AReplayedHelloIsRefusedOnAnotherConnection) {
  Member gateway(host_, true, false);
  RawPeer first(host_, gateway, 2, 1, false);
  first.say_hello();
  run(10ms);
  EXPECT_EQ(1, gateway.ready);
  RawPeer second(host_, gateway, 2, 1, false);
  second.raw(first.hello);
  run(10ms);
  EXPECT_TRUE(second.closed);
  EXPECT_EQ(1, gateway.ready);
  EXPECT_TRUE(gateway.banned.empty());
}

TEST_F(SessionTest, OddMessagesArePassedOverAndOversizedFramesEndTheConnection) {
  Member gateway(host_, true, true);
  gateway.node->provider()->set_services({tcp(80)});
  RawPeer peer(host_, gateway, 2, 1, true);
  peer.say_hello();
  for (const Bytes& odd :
       {Bytes{0, 0, 0, 0}, Bytes{0, 0, 0, 3, 1, 0, 0}, Bytes{0, 0, 0, 6, 99, 0, 0, 0, 0, 1}, Bytes{0, 0, 0, 6, 2, 0, 0, 0, 0, 9},
        Bytes{0, 0, 0, 6, 1, 0, 0, 0, 0, 9}, Bytes{0, 0, 0, 7, 1, 9, 0, 0, 0, 9, 34}, Bytes{0, 0, 0, 6, 4, 0, 0, 0, 0, 0}})
    peer.raw(odd);
  run(10ms);
  EXPECT_FALSE(peer.closed);
  EXPECT_EQ(5u, gateway.node->counters().malformed_messages);
  EXPECT_EQ(1u, gateway.node->counters().unknown_actions);
  EXPECT_EQ(1u, gateway.node->counters().unknown_channels);
  EXPECT_TRUE(peer.last(Action::kOpen)->is_error);
  EXPECT_EQ(9u, peer.last(Action::kOpen)->channel);
  peer.raw(Bytes{0x7f, 0xff, 0xff, 0xff});
  run(10ms);
  EXPECT_TRUE(peer.closed);
  EXPECT_EQ(1u, gateway.node->counters().oversized_frames);
}

TEST_F(SessionTest, FramesMayArriveInAnyPieces) {
  for (const size_t split : {1u, 3u, 1000u}) {
    Member gateway(host_, true, false), provider(host_, false, true);
    provider.node->provider()->set_services({tcp(8080)});
    connect(gateway, 1, provider, 2, {.split = split});
    ASSERT_TRUE(wait([&] { return !gateway.node->gateway()->gates().empty(); }));
    auto client = open(gateway, 8080);
    ASSERT_TRUE(wait([&] { return client->opened; }));
    client->push(300'000);
    ASSERT_TRUE(wait([&] { return provider.connector.last().received == 300'000; }));
    for (size_t i = 0; i < 300'000; ++i) ASSERT_EQ(static_cast<uint8_t>(i * 31), provider.connector.last().bytes[i]);
  }
}

TEST_F(SessionTest, AnErrorOnChannelZeroAnswersTheRequestsForThatPort) {
  Member gateway(host_, true, false);
  RawPeer old(host_, gateway, 2, 1, false);
  old.say_hello();
  old.advertise({tcp(80), tcp(81)});
  run(10ms);
  auto refused = open(gateway, 80);
  auto other = open(gateway, 81);
  run(10ms);
  old.send(make_error_frame({}, Action::kOpen, 0, "Service not found 80"));
  run(10ms);
  EXPECT_TRUE(refused->closed);
  EXPECT_EQ(CloseReason::kRefused, refused->reason);
  EXPECT_FALSE(other->closed);
}

TEST_F(SessionTest, CloseZeroClosesAllOfThatPeersChannels) {
  Member provider(host_, false, true);
  provider.node->provider()->set_services({tcp(80)});
  RawPeer one(host_, provider, 1, 9, true), two(host_, provider, 2, 9, true);
  one.say_hello();
  two.say_hello();
  for (uint32_t i = 1; i <= 3; ++i) {
    one.send(make_open_frame({}, i, 80, Protocol::kTcp));
    two.send(make_open_frame({}, i, 80, Protocol::kTcp));
  }
  run(10ms);
  EXPECT_EQ(6u, provider.node->channel_count());
  one.send(make_frame({}, Action::kClose, 0));
  run(10ms);
  EXPECT_EQ(3u, provider.node->channel_count());
}

TEST_F(SessionTest, CloseZeroRefusesTheChannelsThatAreBeingOpened) {
  Member gateway(host_, true, false);
  RawPeer old(host_, gateway, 2, 1, false);
  old.say_hello();
  old.advertise({tcp(80)});
  run(10ms);
  auto client = open(gateway, 80);
  run(10ms);
  old.send(make_frame({}, Action::kClose, 0));
  run(10ms);
  EXPECT_TRUE(client->closed);
  EXPECT_EQ(1u, old.count(Action::kOpen));
}

TEST_F(SessionTest, ChannelsOfOnePeerAreBounded) {
  Limits limits;
  limits.max_channels_per_peer = 10;
  Member provider(host_, false, true, limits);
  provider.node->provider()->set_services({tcp(80)});
  RawPeer peer(host_, provider, 1, 9, true);
  peer.say_hello();
  for (uint32_t i = 1; i <= 12; ++i) peer.send(make_open_frame({}, i, 80, Protocol::kTcp));
  run(10ms);
  EXPECT_EQ(10u, provider.node->channel_count());
  EXPECT_EQ(2u, provider.node->counters().refused_limit);
  EXPECT_TRUE(peer.last(Action::kOpen)->is_error);
}

TEST_F(SessionTest, DatagramsTowardsAnOldPeerAreAtMostSixtyKibibytes) {
  Member gateway(host_, true, false);
  RawPeer old(host_, gateway, 2, 1, false);
  old.say_hello();
  old.advertise({udp(53)});
  run(10ms);
  auto client = open(gateway, 53, Protocol::kUdp);
  run(10ms);
  old.send(make_open_frame({}, 1, 53, Protocol::kUdp));
  run(10ms);
  ASSERT_TRUE(client->opened);
  const Bytes data(65507);
  EXPECT_TRUE(client->channel->send_datagram(ByteView(data).first(61440)));
  EXPECT_FALSE(client->channel->send_datagram(ByteView(data).first(61441)));
  EXPECT_FALSE(client->channel->send_datagram(data));
  EXPECT_EQ(2u, gateway.node->counters().datagrams_too_big);
  run(10ms);
  EXPECT_EQ(1u, old.count(Action::kStream));
  EXPECT_EQ(61440u, old.last(Action::kStream)->body.size());
}

}  // namespace
}  // namespace hg::tunnel
