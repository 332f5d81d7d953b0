// Services whose gate would be their own address: see LeadsBack.
#include <gtest/gtest.h>

#include "support/log_lines.h"
#include "support/tunnel_members.h"
#include "tunnel/node.h"

namespace hg::tunnel {
namespace {

using namespace test;

using NodeLoopTest = MembersTest;

TEST_F(NodeLoopTest, AGateThatWouldBeItsServicesAddressStaysClosed) {
  Member gateway(host_, true, false), provider(host_, false, true);
  hg::test::LogLines lines;
  gateway.node->gateway()->set_leads_back([](const Service& service, const Endpoint&) { return service.gate_port == 8080; });
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
  gateway.node->gateway()->set_leads_back([&, heard = 0](const Service&, const Endpoint&) mutable { return ++heard == 1; });
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

}  // namespace
}  // namespace hg::tunnel
