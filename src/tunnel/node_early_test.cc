// What a client says before its channel is confirmed.
#include <gtest/gtest.h>

#include "support/tunnel_members.h"
#include "tunnel/node.h"

namespace hg::tunnel {
namespace {

using namespace test;
using Mode = FakeConnector::Mode;

constexpr Duration kOneWay = 50ms;
constexpr const char* kHead = "GET / HTTP/1.1\r\n\r\n";

class NodeEarlyTest : public MembersTest {
 protected:
  PipeEnd* join(Member& provider, uint8_t provider_key, std::vector<Service> services = {tcp(8080)}) {
    const size_t routes = gateway_.node->gateway()->routes().size();
    provider.node->provider()->set_services(std::move(services));
    PipeEnd* end = connect(gateway_, 1, provider, provider_key, {.delay = kOneWay}).first;
    EXPECT_TRUE(wait([&] { return gateway_.node->gateway()->routes().size() == routes + 1; }));
    return end;
  }
  /// The gate's turns, until it is `provider`'s: what the client says goes there at once.
  std::unique_ptr<FakeSocket> open_at(Member& provider) {
    for (int i = 0; i < 10; ++i) {
      const size_t before = provider.connector.requests.size();
      auto client = open(gateway_, 8080);
      if (client->channel->early()) client->say(kHead);
      run(kOneWay);
      if (provider.connector.requests.size() > before) return client;
    }
    return nullptr;
  }
  size_t asked(const Member& provider) const { return provider.connector.requests.size(); }

  Member gateway_{host_, true, false};
  Member provider_{host_, false, true};
};

TEST_F(NodeEarlyTest, AnAnswerIsOneRoundTripAway) {
  join(provider_, 2);
  const TimePoint start = world_.now();
  auto client = open(gateway_, 8080);
  ASSERT_TRUE(client->channel->early());
  client->say(kHead);
  ASSERT_TRUE(wait([&] { return asked(provider_) == 1 && provider_.connector.last().text() == kHead; }));
  EXPECT_LT(world_.now() - start, kOneWay + 5ms);
  provider_.connector.last().say("200");
  ASSERT_TRUE(wait([&] { return client->received == 3; }));
  EXPECT_LT(world_.now() - start, 2 * kOneWay + 5ms);
  EXPECT_TRUE(client->opened);
  client->say("more");
  ASSERT_TRUE(wait([&] { return provider_.connector.last().text() == std::string(kHead) + "more"; }));
}

TEST_F(NodeEarlyTest, NothingGoesAheadWhereTheServiceDoesNotWantIt) {
  Service service = tcp(8080);
  service.early = false;
  join(provider_, 2, {service});
  auto client = open(gateway_, 8080);
  EXPECT_FALSE(client->channel->early());
  EXPECT_EQ(client->channel->sendable(), 0u);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  client->say(kHead);
  ASSERT_TRUE(wait([&] { return provider_.connector.last().text() == kHead; }));
}

TEST_F(NodeEarlyTest, SoMuchAndNoMoreAndAllOfItCounts) {
  Limits limits;
  limits.initial_window = limits.max_buffer_per_channel = 10'000;
  Member small(host_, false, true, limits);
  join(small, 2);
  auto client = open(gateway_, 8080);
  client->say("GET /");
  client->say(std::string(kEarlyBytes - 5, 'a'));
  EXPECT_EQ(client->channel->sendable(), 0u);
  ASSERT_TRUE(wait([&] { return asked(small) == 1; }));
  FakeSocket& service = small.connector.last();
  service.reading = false;
  client->push(1'000'000);
  run(kOneWay - 10ms);
  EXPECT_FALSE(client->opened);
  EXPECT_EQ(client->turns, 0) << "it waits, it does not ask again and again";
  run(1s);
  EXPECT_EQ(service.received, 2 * kEarlyBytes) << "what was taken at once, and a window: not less than that";
  service.take_all();
  ASSERT_TRUE(wait([&] { return service.received == kEarlyBytes + 1'000'000; }));
  EXPECT_EQ(small.node->counters().window_overruns, 0u);
  for (size_t i = 0; i < 1'000'000; ++i) ASSERT_EQ(static_cast<uint8_t>(i * 31), service.bytes[kEarlyBytes + i]) << i;
}

TEST_F(NodeEarlyTest, AnEndFollowsWhatWasSaid) {
  join(provider_, 2);
  auto client = open(gateway_, 8080);
  client->say(kHead);
  client->channel->end();
  EXPECT_EQ(client->channel->sendable(), 0u);
  run(kOneWay + 5ms);
  ASSERT_EQ(asked(provider_), 1u);
  EXPECT_EQ(provider_.connector.last().text(), kHead);
  EXPECT_TRUE(provider_.connector.last().ended);
  provider_.connector.last().say("200");
  ASSERT_TRUE(wait([&] { return client->text() == "200"; }));
}

TEST_F(NodeEarlyTest, ARefusalTakesItToTheNextProvider) {
  Member other(host_, false, true);
  join(provider_, 2);
  join(other, 3);
  provider_.connector.modes[8080] = Mode::kRefuse;
  auto client = open_at(provider_);
  ASSERT_NE(client, nullptr);
  client->channel->end();
  ASSERT_TRUE(wait([&] { return client->opened; }));
  run(kOneWay);
  EXPECT_EQ(other.connector.last().text(), kHead);
  EXPECT_TRUE(other.connector.last().ended);
  EXPECT_EQ(provider_.connector.last().received, 0u);
}

TEST_F(NodeEarlyTest, WhatWasHeldBackStaysTheLastUntilTheConfirmation) {
  Member other(host_, false, true);
  provider_.connector.modes[8080] = other.connector.modes[8080] = Mode::kRefuse;
  join(provider_, 2);
  join(other, 3);
  auto client = open(gateway_, 8080);
  client->say("POST");
  run(2 * kOneWay + 10ms);
  ASSERT_EQ(asked(provider_) + asked(other), 1u);
  ASSERT_TRUE(client->channel->early()) << "the second one is asked";
  EXPECT_EQ(client->channel->sendable(), 0u);
}

TEST_F(NodeEarlyTest, AProviderThatDoesNotKnowOfItGetsItBehindItsConfirmation) {
  join(provider_, 2);
  provider_.connector.modes[8080] = Mode::kRefuse;
  RawPeer old(host_, gateway_, 9, 1, false, {.delay = kOneWay});
  old.say_hello();
  old.advertise({tcp(8080)});
  ASSERT_TRUE(wait([&] { return gateway_.node->gateway()->routes().size() == 2; }));
  auto client = open_at(provider_);
  ASSERT_NE(client, nullptr);
  client->channel->end();
  ASSERT_TRUE(wait([&] { return old.count(Action::kOpen) > 0; }));
  run(1s);
  EXPECT_EQ(old.count(Action::kStream), 0u);
  old.send(make_open_frame({}, old.last(Action::kOpen)->channel, 8080, Protocol::kTcp));
  ASSERT_TRUE(wait([&] { return old.count(Action::kEnd) == 1; }));
  ASSERT_EQ(old.count(Action::kStream), 1u);
  EXPECT_EQ(as_text(old.last(Action::kStream)->body), kHead);
}

TEST_F(NodeEarlyTest, WhatMayNotBeRepeatedWaitsForTheConfirmation) {
  Member other(host_, false, true);
  provider_.connector.modes[8080] = Mode::kSilent;
  join(provider_, 2);
  join(other, 3);
  for (int i = 0; i < 4; ++i) {
    auto client = open(gateway_, 8080);
    client->say("POST / HTTP/1.1\r\n\r\n");
    EXPECT_EQ(client->channel->sendable(), 0u) << "and nothing more is read";
    ASSERT_TRUE(wait([&] { return client->opened; }, 3s));
    client->say("more");
    run(2 * kOneWay);
    EXPECT_EQ(other.connector.last().text(), "POST / HTTP/1.1\r\n\r\nmore");
  }
  ASSERT_GT(asked(provider_), 0u);
  for (const auto& socket : provider_.connector.sockets) EXPECT_EQ(socket->received, 0u);
}

TEST_F(NodeEarlyTest, WhatMayBeRepeatedGoesOnFromAProviderThatDoesNotAnswer) {
  Member other(host_, false, true);
  provider_.connector.modes[8080] = Mode::kSilent;
  join(provider_, 2);
  join(other, 3);
  auto client = open_at(provider_);
  ASSERT_NE(client, nullptr);
  client->say("POST");  // behind the head: no longer one that may be repeated
  ASSERT_TRUE(wait([&] { return client->opened; }, 3s));
  run(2 * kOneWay);
  EXPECT_EQ(provider_.connector.last().text(), kHead);
  EXPECT_EQ(other.connector.last().text(), std::string(kHead) + "POST");
}

TEST_F(NodeEarlyTest, AProviderThatIsLostLeavesItToTheNext) {
  provider_.connector.modes[8080] = Mode::kSilent;
  PipeEnd* end = join(provider_, 2);
  auto client = open(gateway_, 8080);
  client->say(kHead);
  run(kOneWay + 5ms);
  end->cut();
  ASSERT_TRUE(wait([&] { return gateway_.node->gateway()->routes().size() == 0; }));
  Member next(host_, false, true);
  join(next, 3);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  run(kOneWay + 5ms);
  EXPECT_EQ(next.connector.last().text(), kHead);
}

TEST_F(NodeEarlyTest, DatagramsToo) {
  join(provider_, 2, {udp(53)});
  const TimePoint start = world_.now();
  auto client = open(gateway_, 53, Protocol::kUdp);
  ASSERT_TRUE(client->channel->early());
  EXPECT_TRUE(client->channel->send_datagram(Bytes(100, 1)));
  EXPECT_TRUE(client->channel->send_datagram({}));
  EXPECT_FALSE(client->channel->send_datagram(Bytes(kEarlyBytes, 1)));
  ASSERT_TRUE(wait([&] { return asked(provider_) == 1 && provider_.connector.last().datagrams.size() == 2; }));
  EXPECT_LT(world_.now() - start, kOneWay + 5ms);
  EXPECT_EQ(provider_.connector.last().datagrams, (std::vector<size_t>{100, 0}));
  EXPECT_TRUE(wait([&] { return client->opened; }));
  EXPECT_EQ(provider_.connector.last().datagrams.size(), 2u);
}

TEST_F(NodeEarlyTest, NothingGoesAheadOnAFullConnection) {
  provider_.node->provider()->set_services({tcp(8080), udp(53)});
  connect(gateway_, 1, provider_, 2, {.delay = kOneWay, .bytes_per_second = 1e5, .high_water = 10'000});
  ASSERT_TRUE(wait([&] { return gateway_.node->gateway()->routes().size() == 2; }));
  auto bulk = open(gateway_, 8080);
  ASSERT_TRUE(wait([&] { return bulk->opened; }));
  bulk->push(1'000'000);
  auto name = open(gateway_, 53, Protocol::kUdp);
  ASSERT_TRUE(name->channel->early());
  EXPECT_FALSE(name->channel->send_datagram(Bytes(100, 1)));
  auto page = open(gateway_, 8080);
  EXPECT_EQ(page->channel->sendable(), 0u);
  page->push(1);
  EXPECT_TRUE(wait([&] { return page->turns > 0; }, 3s)) << "but has its turn among the others";
}

TEST_F(NodeEarlyTest, DatagramsMoveOnFromAProviderThatDoesNotAnswer) {
  Member other(host_, false, true);
  provider_.connector.modes[53] = Mode::kSilent;
  join(provider_, 2, {udp(53)});
  join(other, 3, {udp(53)});
  std::vector<std::unique_ptr<FakeSocket>> clients;
  for (uint8_t i = 0; i < 4; ++i) {
    clients.push_back(open(gateway_, 53, Protocol::kUdp));
    EXPECT_TRUE(clients.back()->channel->send_datagram(Bytes(100 + i, 1)));
  }
  run(3s);
  for (const auto& client : clients) EXPECT_TRUE(client->opened);
  EXPECT_GT(asked(provider_), 0u);
  ASSERT_EQ(asked(other), 4u);
  for (const auto& socket : other.connector.sockets) EXPECT_EQ(socket->datagrams.size(), 1u);
}

TEST_F(NodeEarlyTest, LimitedClientsWait) {
  Service limited = tcp(8080);
  limited.ingress_policy = R"({"ips":{"192.0.2.7":{"bandwidthLimit":{"mbps":1}}}})";
  join(provider_, 2, {limited});
  EXPECT_FALSE(open(gateway_, 8080)->channel->early());
  EXPECT_TRUE(open(gateway_, 8080, Protocol::kTcp, "192.0.2.8")->channel->early());
}

TEST_F(NodeEarlyTest, WhatIsKeptIsBounded) {
  Limits limits;
  limits.max_early_openings = 2;
  Member few(host_, true, false, limits);
  provider_.node->provider()->set_services({tcp(8080)});
  connect(few, 1, provider_, 2, {.delay = kOneWay});
  ASSERT_TRUE(wait([&] { return few.node->gateway()->routes().size() == 1; }));
  auto one = open(few, 8080), two = open(few, 8080), three = open(few, 8080);
  EXPECT_TRUE(one->channel->early() && two->channel->early());
  EXPECT_FALSE(three->channel->early());
  one->channel.reset();
  EXPECT_TRUE(open(few, 8080)->channel->early());
  ASSERT_TRUE(wait([&] { return two->opened && three->opened; }));
  auto four = open(few, 8080), five = open(few, 8080);
  EXPECT_TRUE(four->channel->early() && five->channel->early());
}

}  // namespace
}  // namespace hg::tunnel
