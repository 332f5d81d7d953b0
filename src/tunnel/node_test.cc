#include "tunnel/node.h"

#include <gtest/gtest.h>

#include "support/log_lines.h"
#include "support/tunnel_members.h"

namespace hg::tunnel {
namespace {

using namespace test;

using NodeTest = MembersTest;

TEST_F(NodeTest, ABytePassesBothWaysAndTheFirstOpenNeedsNoTick) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(8080)});
  const TimePoint start = world_.now();
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return !gateway.node->gateway()->gates().empty(); }));
  EXPECT_LT(world_.now() - start, 10ms);
  auto client = open(gateway, 8080);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  EXPECT_LT(world_.now() - start, 20ms);
  client->say("GET");
  ASSERT_TRUE(wait([&] { return provider.connector.last().received == 3; }));
  provider.connector.last().say("200");
  ASSERT_TRUE(wait([&] { return client->received == 3; }));
  EXPECT_EQ("GET", provider.connector.last().text());
  EXPECT_EQ("200", client->text());
  EXPECT_NE(std::string::npos, provider.connector.requests[0].fingerprint.find(R"("source":{"ip":"192.0.2.7")"));
  EXPECT_EQ(key(1), provider.connector.requests[0].gateway);
}

TEST_F(NodeTest, EndAndCloseComeBehindTheData) {
  Member gateway(host_, true, false), provider(host_, false, true);
  auto client = opened(gateway, provider, tcp(8080), {.delay = 5ms, .bytes_per_second = 1e7});
  FakeSocket& service = provider.connector.last();
  client->push(3'000'000);
  ASSERT_TRUE(wait([&] { return client->to_send == 0; }));
  client->channel->end();
  ASSERT_TRUE(wait([&] { return service.ended; }));
  EXPECT_EQ(3'000'000u, service.received);
  service.push(2'000'000);  // the other direction goes on: half-closed
  ASSERT_TRUE(wait([&] { return service.to_send == 0; }));
  service.channel->end();
  service.channel->close();
  ASSERT_TRUE(wait([&] { return client->closed; }));
  EXPECT_EQ(2'000'000u, client->received);
  EXPECT_EQ(CloseReason::kRemote, client->reason);
  for (size_t i = 0; i < service.bytes.size(); ++i) ASSERT_EQ(static_cast<uint8_t>(i * 31), service.bytes[i]) << i;
  EXPECT_EQ(0u, gateway.node->channel_count());
  EXPECT_EQ(0u, provider.node->channel_count());
}

TEST_F(NodeTest, WhoClosesWithoutAnEndBrokeOff) {
  Member gateway(host_, true, false), provider(host_, false, true);
  auto client = opened(gateway, provider, tcp(8080));
  client->channel->end();  // says nothing of the other direction
  provider.connector.last().push(1000);
  ASSERT_TRUE(wait([&] { return provider.connector.last().to_send == 0; }));
  provider.connector.last().channel->close();
  ASSERT_TRUE(wait([&] { return client->closed; }));
  EXPECT_EQ(client->received, 1000u);
  EXPECT_EQ(client->reason, CloseReason::kAborted);
}

TEST_F(NodeTest, NobodyGetsATurnBehindItsEnd) {
  Member gateway(host_, true, false), provider(host_, false, true);
  auto client = opened(gateway, provider, tcp(8080));
  client->to_send = 1000;  // so that a turn would ask for the next
  client->channel->end();
  client->channel->wait_to_send();
  run(100ms);
  EXPECT_EQ(client->to_send, 1000u);
}

TEST_F(NodeTest, ASlowReaderIsNeverLostAndHoldsNobodyElse) {
  Limits limits;
  limits.max_buffer_per_channel = 1'000'000;
  Member gateway(host_, true, false, limits), provider(host_, false, true, limits);
  auto slow = opened(gateway, provider, tcp(8080));
  slow->reading = false;
  provider.connector.last().push(20'000'000);
  run(5s);
  EXPECT_GT(slow->received, 0u);
  EXPECT_LE(slow->received, 1'000'000u);
  EXPECT_FALSE(slow->closed);
  auto other = open(gateway, 8080);
  ASSERT_TRUE(wait([&] { return other->opened; }));
  provider.connector.last().push(5'000'000);
  ASSERT_TRUE(wait([&] { return other->received == 5'000'000; }));
  EXPECT_EQ(0u, gateway.node->counters().reads_paused);
  slow->take_all();
  ASSERT_TRUE(wait([&] { return slow->received == 20'000'000; }));
  for (size_t i = 0; i < slow->bytes.size(); ++i) ASSERT_EQ(static_cast<uint8_t>(i * 31), slow->bytes[i]) << i;
}

TEST_F(NodeTest, ManySlowReadersHoldNobodyElse) {
  Limits limits;
  limits.max_buffer_per_peer = 1'000'000;
  Member gateway(host_, true, false, limits), provider(host_, false, true, limits);
  provider.node->provider()->set_services({tcp(8080)});
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return !gateway.node->gateway()->gates().empty(); }));
  std::vector<std::unique_ptr<FakeSocket>> slow;
  for (int i = 0; i < 40; ++i) {
    slow.push_back(open(gateway, 8080));
    slow.back()->reading = false;
  }
  ASSERT_TRUE(wait([&] { return std::all_of(slow.begin(), slow.end(), [](const auto& c) { return c->opened; }); }));
  for (const auto& service : provider.connector.sockets) service->push(1'000'000);
  run(5s);
  size_t held = 0;
  for (const auto& client : slow) held += client->received;
  EXPECT_LE(held, 3 * limits.max_buffer_per_peer);
  auto other = open(gateway, 8080);
  ASSERT_TRUE(wait([&] { return other->opened; }));
  provider.connector.last().push(5'000'000);
  EXPECT_TRUE(wait([&] { return other->received == 5'000'000; }));
  EXPECT_EQ(0u, gateway.node->counters().reads_paused);
  for (const auto& client : slow) client->take_all();
  EXPECT_TRUE(wait([&] { return std::all_of(slow.begin(), slow.end(), [](const auto& c) { return c->received == 1'000'000; }); }));
}

struct LongPath {
  const char* name;
  PipeOptions path;
  size_t least;  // bytes in 2 s, after 2 s
};

class NodeLongPath : public NodeTest, public testing::WithParamInterface<LongPath> {};

TEST_P(NodeLongPath, IsFilledByOneChannel) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(8080)});
  connect(gateway, 1, provider, 2, GetParam().path);
  ASSERT_TRUE(wait([&] { return !gateway.node->gateway()->gates().empty(); }));
  auto client = open(gateway, 8080);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  client->keep = false;
  provider.connector.last().push(400'000'000);
  run(2s);
  const size_t before = client->received;
  run(2s);
  EXPECT_GT(client->received - before, GetParam().least);
}

INSTANTIATE_TEST_SUITE_P(
    Node, NodeLongPath,
    testing::Values(
        // 20 MB/s; the first window alone would allow 10 MB
        LongPath{"the_window_grows", {.delay = 50ms, .bytes_per_second = 2e7, .high_water = 4 << 20}, 38'000'000},
        // 8 MiB in 100 ms; what the reader holds back before it grants more is missing on the way
        LongPath{"a_wide_window_is_nearly_all_on_its_way", {.delay = 50ms, .bytes_per_second = 1e9, .high_water = 16 << 20}, 150'000'000}),
    [](const auto& param) { return param.param.name; });

TEST_F(NodeTest, ChannelsShareAFullConnectionEvenly) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(8080)});
  connect(gateway, 1, provider, 2, {.delay = 5ms, .bytes_per_second = 1e7});
  ASSERT_TRUE(wait([&] { return !gateway.node->gateway()->gates().empty(); }));
  std::vector<std::unique_ptr<FakeSocket>> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(open(gateway, 8080));
  ASSERT_TRUE(wait([&] { return std::all_of(clients.begin(), clients.end(), [](const auto& c) { return c->opened; }); }));
  for (size_t i = 0; i < clients.size(); ++i) {
    provider.connector.sockets[i]->keep = false;
    clients[i]->push(100'000'000);
  }
  run(8s);
  size_t least = SIZE_MAX, most = 0;
  for (const auto& socket : provider.connector.sockets) {
    least = std::min(least, socket->received);
    most = std::max(most, socket->received);
  }
  EXPECT_GT(least, 8'000'000u);
  EXPECT_LT(most - least, 1'000'000u);
  // A small request is not behind the bulk of the others for longer than the connection's own queue takes.
  auto small = open(gateway, 8080);
  const TimePoint asked = world_.now();
  ASSERT_TRUE(wait([&] { return small->opened; }));
  EXPECT_LT(world_.now() - asked, 200ms);
}

TEST_F(NodeTest, AServiceThatNeverAnswersDelaysNoOtherChannel) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(81), tcp(82)});
  provider.connector.modes[81] = FakeConnector::Mode::kSilent;
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->gates().size() == 2; }));
  std::vector<std::unique_ptr<FakeSocket>> stuck;
  for (int i = 0; i < 20; ++i) stuck.push_back(open(gateway, 81));
  const TimePoint asked = world_.now();
  auto client = open(gateway, 82);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  EXPECT_LT(world_.now() - asked, 10ms);
  ASSERT_TRUE(wait([&] { return stuck[0]->closed; }, 70s));
  EXPECT_EQ(CloseReason::kTimeout, stuck[0]->reason);
  EXPECT_GE(world_.now() - asked, 60s);
  EXPECT_EQ(20 * 4 + 1u, provider.connector.requests.size());  // an attempt each 15 s
}

TEST_F(NodeTest, ARefusedServiceClosesItsClientAtOnce) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(81), tcp(82)});
  provider.connector.modes[81] = FakeConnector::Mode::kRefuse;
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->gates().size() == 2; }));
  auto other = open(gateway, 82);
  auto client = open(gateway, 81);
  const TimePoint asked = world_.now();
  ASSERT_TRUE(wait([&] { return client->closed; }));
  EXPECT_LT(world_.now() - asked, 10ms);
  EXPECT_EQ(CloseReason::kRefused, client->reason);
  EXPECT_TRUE(other->opened);
  EXPECT_FALSE(other->closed);
  EXPECT_EQ(1u, gateway.node->counters().refused_by_provider);
}

TEST_F(NodeTest, TheOtherProviderTakesOverAfterAnErrorWithoutDelay) {
  Member gateway(host_, true, false), bad(host_, false, true), good(host_, false, true);
  bad.node->provider()->set_services({tcp(80)});
  bad.connector.modes[80] = FakeConnector::Mode::kRefuse;
  good.node->provider()->set_services({tcp(80)});
  connect(gateway, 1, bad, 2);
  connect(gateway, 1, good, 3);
  ASSERT_TRUE(
      wait([&] { return gateway.node->channel_count() == 0 && gateway.ready == 2 && gateway.node->gateway()->routes().size() == 2; }));
  for (int i = 0; i < 6; ++i) {
    auto client = open(gateway, 80);
    const TimePoint asked = world_.now();
    ASSERT_TRUE(wait([&] { return client->opened; }));
    EXPECT_LT(world_.now() - asked, 10ms);
  }
  EXPECT_LE(bad.connector.requests.size(), 2u);  // then it is passed over for a while
}

TEST_F(NodeTest, ASilentProviderIsLeftForAnotherAfterASecond) {
  Member gateway(host_, true, false), silent(host_, false, true), good(host_, false, true);
  silent.node->provider()->set_services({tcp(80)});
  silent.connector.modes[80] = FakeConnector::Mode::kSilent;
  good.node->provider()->set_services({tcp(80)});
  connect(gateway, 1, silent, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 1; }));
  auto client = open(gateway, 80);
  const TimePoint asked = world_.now();
  connect(gateway, 1, good, 3);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  EXPECT_LE(world_.now() - asked, 1100ms);
  ASSERT_TRUE(wait([&] { return silent.connector.last().closed; }));  // it was told
}

TEST_F(NodeTest, AKnownProviderThatFallsSilentIsLeftSooner) {
  Member gateway(host_, true, false), dying(host_, false, true), good(host_, false, true);
  dying.node->provider()->set_services({tcp(80)});
  good.node->provider()->set_services({tcp(80)});
  connect(gateway, 1, dying, 2);
  connect(gateway, 1, good, 3);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 2; }));
  std::vector<std::unique_ptr<FakeSocket>> before;
  for (int i = 0; i < 4; ++i) {
    before.push_back(open(gateway, 80));
    ASSERT_TRUE(wait([&] { return before.back()->opened; }));
  }
  dying.connector.modes[80] = FakeConnector::Mode::kSilent;
  for (int i = 0; i < 4; ++i) {
    auto client = open(gateway, 80);
    const TimePoint asked = world_.now();
    ASSERT_TRUE(wait([&] { return client->opened; }));
    EXPECT_LE(world_.now() - asked, 310ms);
  }
}

TEST_F(NodeTest, DestroyingAGatewayWithChannelsBeingOpenedOnSeveralSessionsIsClean) {
  auto gateway = std::make_unique<Member>(host_, true, false);
  Member one(host_, false, true), two(host_, false, true);
  for (Member* provider : {&one, &two}) {
    provider->node->provider()->set_services({tcp(80)});
    provider->connector.modes[80] = FakeConnector::Mode::kSilent;
  }
  connect(*gateway, 1, one, 2);
  connect(*gateway, 1, two, 3);
  ASSERT_TRUE(wait([&] { return gateway->node->gateway()->routes().size() == 2; }));
  std::vector<std::unique_ptr<FakeSocket>> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(open(*gateway, 80));
  run(10ms);
  gateway.reset();
  for (const auto& client : clients) EXPECT_EQ(Channel::State::kClosed, client->channel->state());
}

TEST_F(NodeTest, RoutesGoWithTheConnectionAndWaitingClientsGoOnWhenItReturns) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(8080)});
  const auto ends = connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 1; }));
  auto open_one = open(gateway, 8080);
  ASSERT_TRUE(wait([&] { return open_one->opened; }));
  ends.first->cut();
  run(1ms);
  EXPECT_EQ(0u, gateway.node->gateway()->routes().size());
  EXPECT_TRUE(open_one->closed);
  EXPECT_EQ(CloseReason::kPeerLost, open_one->reason);
  EXPECT_EQ(1u, gateway.node->gateway()->gates().size());  // held open a moment
  auto held = open(gateway, 8080);
  run(500ms);
  EXPECT_FALSE(held->opened || held->closed);
  connect(gateway, 1, provider, 4);
  ASSERT_TRUE(wait([&] { return held->opened; }, 1s));
}

TEST_F(NodeTest, AGateWithoutProviderClosesAndAWithdrawnOneAtOnce) {
  Member gateway(host_, true, false), provider(host_, false, true);
  int changes = 0;
  gateway.node->gateway()->on_gates_changed([&] { ++changes; });
  provider.node->provider()->set_services({tcp(80), tcp(81)});
  const auto ends = connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->gates().size() == 2; }));
  provider.node->provider()->set_services({tcp(81)});
  run(10ms);
  EXPECT_EQ(1u, gateway.node->gateway()->gates().size());
  ends.second->cut();
  run(1s);
  EXPECT_EQ(1u, gateway.node->gateway()->gates().size());
  run(2s);
  EXPECT_TRUE(gateway.node->gateway()->gates().empty());
  EXPECT_EQ(4, changes);
}

TEST_F(NodeTest, RoutesExpireWhenAProviderFallsSilent) {
  Member gateway(host_, true, false);
  sim::World other_world(2);
  sim::Host& frozen = other_world.add_host("10.0.0.2");  // its timers never run
  Member provider(frozen, false, true);
  provider.node->provider()->set_services({tcp(80)});
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 1; }));
  run(115s);
  EXPECT_EQ(1u, gateway.node->gateway()->routes().size());
  run(15s);
  EXPECT_EQ(0u, gateway.node->gateway()->routes().size());
}

TEST_F(NodeTest, DeniedClientsAreClosedAtOnceAndLabelsReachTheFingerprint) {
  Member gateway(host_, true, false), provider(host_, false, true);
  Service service = tcp(80);
  service.ingress_policy = R"({"ips":{"192.0.2.66":{"allow":false},"192.0.2.0/24":{"labels":["office","a\"b"]}}})";
  provider.node->provider()->set_services({service});
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 1; }));
  auto denied = open(gateway, 80, Protocol::kTcp, "192.0.2.66");
  EXPECT_FALSE(denied->closed);  // never from inside open()
  ASSERT_TRUE(wait([&] { return denied->closed; }, 1s));
  EXPECT_EQ(CloseReason::kDenied, denied->reason);
  EXPECT_TRUE(provider.connector.requests.empty());
  auto allowed = open(gateway, 80);
  ASSERT_TRUE(wait([&] { return allowed->opened; }));
  EXPECT_NE(std::string::npos, provider.connector.requests[0].fingerprint.find(R"("ingressLabels":["office","a\"b"])"));
}

TEST_F(NodeTest, AClientThatLeavesWhileItsChannelIsOpenedIsForgotten) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(80)});
  provider.connector.modes[80] = FakeConnector::Mode::kSilent;
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 1; }));
  auto asked = open(gateway, 80);
  auto waiting = open(gateway, 99);
  run(10ms);
  EXPECT_EQ(2u, gateway.node->gateway()->openings());
  asked.reset();
  waiting.reset();
  EXPECT_EQ(0u, gateway.node->gateway()->openings());
  run(10ms);
  EXPECT_TRUE(provider.connector.last().closed);
  provider.connector.last().channel->accept();  // too late: no effect
  run(10ms);
  EXPECT_EQ(0u, provider.node->channel_count());
}

TEST_F(NodeTest, OfSeveralServicesOnOneGatePortTheAskedOneAnswers) {
  Member gateway(host_, true, false), provider(host_, false, true);
  Service first = tcp(8080), second = tcp(8080);
  first.service_host = "a.hyper";
  second.service_host = "b.hyper";
  gateway.node->gateway()->set_filter({{}, {"b.hyper"}, false, false});
  provider.node->provider()->set_services({first, second});
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return !gateway.node->gateway()->gates().empty(); }));
  auto client = open(gateway, 8080);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  EXPECT_EQ("b.hyper", provider.connector.requests[0].service.service_host);
}

TEST_F(NodeTest, AFilterThatChangesClosesAndOpensGatesAndLeavesChannelsAlone) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(8080), tcp(8081)});
  connect(gateway, 1, provider, 2);
  tunnel::Gateway& gates = *gateway.node->gateway();
  ASSERT_TRUE(wait([&] { return gates.gates().size() == 2; }));
  auto client = open(gateway, 8080);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  GateMatch second;
  second.gate_port = 8081;
  gates.set_filter({{second}, {}, false, false});
  ASSERT_EQ(1u, gates.gates().size());
  EXPECT_EQ(8081, gates.gates()[0].key.port);
  client->say("still");
  ASSERT_TRUE(wait([&] { return provider.connector.last().text() == "still"; }));
  gates.set_filter({});
  ASSERT_TRUE(wait([&] { return gates.gates().size() == 2; }, 6s)) << "with the advertisement that comes anyway";
  EXPECT_FALSE(client->closed);
}

TEST_F(NodeTest, ManyServicesAtOnceAreAFewLines) {
  Member provider(host_, false, true);
  const auto offer = [&](uint16_t count) {
    std::vector<Service> services;
    for (uint16_t i = 0; i < count; ++i) services.push_back(tcp(static_cast<uint16_t>(8000 + i)));
    hg::test::LogLines lines;
    provider.node->provider()->set_services(std::move(services));
    return lines.all;
  };
  auto said = offer(log::kMostLines);
  ASSERT_EQ(log::kMostLines + 1, said.size());
  EXPECT_NE(std::string::npos, said[0].find("gate 8000 ")) << said[0];
  said = offer(4000);
  ASSERT_EQ(log::kMostLines + 2, said.size());
  EXPECT_NE(std::string::npos, said[log::kMostLines].find(fmt::format("{} more", 4000 - 2 * log::kMostLines)));
  EXPECT_NE(std::string::npos, said.back().find("services offered: 4000"));
}

TEST_F(NodeTest, OfTwinsTheFirstIsOfferedWithItsPolicy) {
  Member gateway(host_, true, false), provider(host_, false, true);
  hg::test::LogLines lines;
  Service first = tcp(8080), twin = tcp(8080), other_protocol = udp(8080);
  first.ingress_policy = R"({"defaults":{"allow":false}})";
  twin.tags = "docker";
  for (int i = 0; i < 2; ++i) provider.node->provider()->set_services({first, twin, other_protocol, tcp(81 + i)});
  ASSERT_EQ(lines.warnings.size(), 1u);
  EXPECT_NE(std::string::npos, lines.warnings[0].find("8080/tcp")) << lines.warnings[0];
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() > 0; }));
  EXPECT_EQ(gateway.node->gateway()->routes().size(), 3u);
  const auto offers = gateway.node->gateway()->routes().offers_of(key(2));
  for (const Service& offer : offers) {
    if (offer.gate_port == 8080 && offer.protocol == Protocol::kTcp) {
      EXPECT_EQ(offer.ingress_policy, first.ingress_policy);
    }
  }
  auto client = open(gateway, 8080);
  ASSERT_TRUE(wait([&] { return client->closed; }));
  EXPECT_EQ(CloseReason::kDenied, client->reason);
}

TEST_F(NodeTest, ARequestWithoutRouteIsHeldAndGivenUpAfterAMinute) {
  Member gateway(host_, true, false);
  auto client = open(gateway, 80);
  run(59s);
  EXPECT_FALSE(client->closed);
  run(2s);
  EXPECT_TRUE(client->closed);
  EXPECT_EQ(CloseReason::kNoRoute, client->reason);
  EXPECT_EQ(1u, gateway.node->counters().refused_no_route);
}

TEST_F(NodeTest, DestroyingANodeUnderTrafficIsClean) {
  auto gateway = std::make_unique<Member>(host_, true, false);
  Member provider(host_, false, true);
  provider.node->provider()->set_services({tcp(80)});
  connect(*gateway, 1, provider, 2, {.bytes_per_second = 1e6});
  ASSERT_TRUE(wait([&] { return gateway->node->gateway()->routes().size() == 1; }));
  auto client = open(*gateway, 80);
  auto opening = open(*gateway, 81);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  client->push(10'000'000);
  run(100ms);
  gateway.reset();
  run(100ms);
  EXPECT_TRUE(client->closed);
  EXPECT_EQ(Channel::State::kClosed, opening->channel->state());
  EXPECT_EQ(0u, provider.node->channel_count());
}

}  // namespace
}  // namespace hg::tunnel
