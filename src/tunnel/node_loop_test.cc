// Services whose gate would be their own address: see LeadsBack.
#include <gtest/gtest.h>

#include <set>

#include "support/log_lines.h"
#include "support/tunnel_members.h"
#include "tunnel/node.h"

namespace hg::tunnel {
namespace {

using namespace test;

class NodeLoopTest : public MembersTest {
 protected:
  /// 10.0.0.1 is ours.
  static Leads by_address(const Service& service, const Endpoint&) {
    const auto address = parse_ipv4(service.service_host);
    return !address ? Leads::kByAddress : *address == kOurs ? Leads::kBack : Leads::kElsewhere;
  }
  static constexpr uint32_t kOurs = 0x0a000001;
};

TEST_F(NodeLoopTest, AGateThatWouldBeItsServicesAddressStaysClosed) {
  Member gateway(host_, true, false), provider(host_, false, true);
  hg::test::LogLines lines;
  gateway.node->gateway()->set_leads_back(
      [](const Service& service, const Endpoint&) { return service.gate_port == 8080 ? Leads::kBack : Leads::kElsewhere; });
  provider.node->provider()->set_services({tcp(8080), tcp(8081)});
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return !gateway.node->gateway()->gates().empty(); }));
  ASSERT_EQ(1u, gateway.node->gateway()->gates().size());
  EXPECT_EQ(8081, gateway.node->gateway()->gates()[0].key.port);
  ASSERT_EQ(1u, lines.warnings.size());
  EXPECT_NE(std::string::npos, lines.warnings[0].find("gate 8080/tcp stays closed")) << lines.warnings[0];
  const Offers* offers = gateway.node->gateway()->offers(key(2));
  ASSERT_NE(nullptr, offers);
  EXPECT_EQ(2u, offers->routes);
  EXPECT_EQ(0u, offers->filtered + offers->unusable);
  ASSERT_EQ(1u, offers->looping.size());
  EXPECT_EQ(8080, offers->looping[0].gate_port);
  EXPECT_EQ(nullptr, gateway.node->gateway()->offers(key(3)));
}

TEST_F(NodeLoopTest, WhatTheFilterTurnsAwayIsCounted) {
  Member gateway(host_, true, false), provider(host_, false, true);
  provider.node->provider()->set_services({tcp(8080), tcp(8081), tcp(8082)});
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 3; }));
  EXPECT_EQ(0u, gateway.node->gateway()->offers(key(2))->filtered);
  gateway.node->gateway()->set_filter({*parse_gate_matches(R"([{"gatePort":8081}])", "filter"), {}, false, false});
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->offers(key(2))->filtered == 2; })) << "the next advertisement is judged anew";
  EXPECT_EQ(3u, gateway.node->gateway()->offers(key(2))->routes);
}

TEST_F(NodeLoopTest, ItOpensForAnotherProvider) {
  Member gateway(host_, true, false), here(host_, false, true), elsewhere(host_, false, true);
  gateway.node->gateway()->set_leads_back(
      [&, heard = 0](const Service&, const Endpoint&) mutable { return ++heard == 1 ? Leads::kBack : Leads::kElsewhere; });
  here.node->provider()->set_services({tcp(8080)});
  connect(gateway, 1, here, 2);
  run(100ms);
  ASSERT_TRUE(gateway.node->gateway()->gates().empty());
  elsewhere.node->provider()->set_services({tcp(8080)});
  connect(gateway, 1, elsewhere, 3);
  ASSERT_TRUE(wait([&] { return !gateway.node->gateway()->gates().empty(); }));
  auto client = open(gateway, 8080);
  ASSERT_TRUE(wait([&] { return client->opened; }));
  EXPECT_TRUE(here.connector.requests.empty());
}

TEST_F(NodeLoopTest, AServiceWithANameIsJudgedByItsAddressesAndItsGateIsClosedUntilThen) {
  host_.names = {{"here.lan", {0x0a000002, kOurs}}, {"there.lan", {0x0a000002}}};
  Member gateway(host_, true, false), provider(host_, false, true);
  hg::test::LogLines lines;
  gateway.node->gateway()->set_leads_back(by_address);
  std::set<uint16_t> opened;
  gateway.node->gateway()->on_gates_changed([&] {
    for (const Gate& gate : gateway.node->gateway()->gates()) opened.insert(gate.key.port);
  });
  provider.node->provider()->set_services({tcp(8080, "here.lan"), tcp(8081, "there.lan"), tcp(8082, "nowhere.lan")});
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return gateway.node->gateway()->gates().size() == 2; }, 1s)) << "without another advertisement";
  run(5min);
  EXPECT_EQ((std::set<uint16_t>{8081, 8082}), opened);
  ASSERT_EQ(1u, gateway.node->gateway()->offers(key(2))->looping.size());
  EXPECT_TRUE(gateway.node->gateway()->offers(key(2))->unknown.empty());
  ASSERT_EQ(1u, lines.warnings.size()) << "said once";
  EXPECT_NE(std::string::npos, lines.warnings[0].find("it would be here.lan:80 itself")) << lines.warnings[0];
}

TEST_F(NodeLoopTest, AGateClosesWhenItsServicesNameComesToThisMachineAndOpensWhenItGoes) {
  Member gateway(host_, true, false), provider(host_, false, true);
  gateway.node->gateway()->set_leads_back(by_address);
  const auto open_gates = [&] { return gateway.node->gateway()->gates().size(); };
  provider.node->provider()->set_services({tcp(8080, "web.lan")});
  connect(gateway, 1, provider, 2);
  ASSERT_TRUE(wait([&] { return open_gates() == 1; }, 1s)) << "who has no address has not ours";
  host_.names["web.lan"] = {kOurs};
  ASSERT_TRUE(wait([&] { return open_gates() == 0; }, 11s)) << "looked up every 5 s, read with the next advertisement";
  host_.names["web.lan"] = {0x0a000002};
  ASSERT_TRUE(wait([&] { return open_gates() == 1; }, 70s));
  host_.names.clear();
  run(3min);
  EXPECT_EQ(1u, open_gates()) << "a name server that fails changes nothing";
}

}  // namespace
}  // namespace hg::tunnel
