#include "tunnel/service.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace hg::tunnel {
namespace {

std::string fault(std::string_view text) {
  const auto services = parse_services(text, "s.json");
  return services ? "" : services.error().message;
}

TEST(Services, RangesAndBothProtocolsMakeSeveral) {
  const auto services =
      parse_services(R"([{"gatePort":"8000-8002","servicePort":"9000-9002","protocol":"tcp+udp","serviceHost":"a"}])", "s.json");
  ASSERT_TRUE(services);
  ASSERT_EQ(6u, services->size());
  EXPECT_EQ(8000, services->front().gate_port);
  EXPECT_EQ(Protocol::kTcp, services->front().protocol);
  EXPECT_EQ(8002, services->back().gate_port);
  EXPECT_EQ(9002, services->back().service_port);
  EXPECT_EQ(Protocol::kUdp, services->back().protocol);
  EXPECT_EQ(3u, parse_services(R"([{"gatePort":"80-82"}])", "s.json")->size());
}

TEST(Services, RangesThatCannotBe) {
  EXPECT_NE("", fault(R"([{"gatePort":"8002-8000"}])"));
  EXPECT_NE("", fault(R"([{"gatePort":"0-10"}])"));
  EXPECT_NE("", fault(R"([{"gatePort":"1-65536"}])"));
  EXPECT_NE(std::string::npos, fault(R"([{"gatePort":"80-82","servicePort":80}])").find("$[0].servicePort"));
  EXPECT_NE(std::string::npos, fault(R"([{"gatePort":"80-90"},{"gatePort":85}])").find("$[0] has this gate already"));
  EXPECT_NE(std::string::npos, fault(R"([{"gatePort":"1-65535"}])").find("more than 4096"));
}

TEST(Services, UnixSocketsAndProxyHeaders) {
  const auto services = parse_services(R"([{"gatePort":80,"serviceHost":"unix:/run/app.sock","proxyProtocol":"v2"}])", "s.json");
  ASSERT_TRUE(services);
  EXPECT_EQ("/run/app.sock", unix_socket_path(services->front().service_host));
  EXPECT_EQ(ProxyHeader::kV2, services->front().proxy_header);
  EXPECT_EQ(ProxyHeader::kV2Each,
            parse_services(R"([{"gatePort":53,"protocol":"udp","proxyProtocol":"v2-each"}])", "s.json")->front().proxy_header);
  EXPECT_EQ("", unix_socket_path("localhost"));
  EXPECT_NE("", fault(R"([{"gatePort":80,"serviceHost":"unix:app.sock"}])"));
  EXPECT_NE("", fault(R"([{"gatePort":80,"serviceHost":"unix:/run/app.sock","protocol":"udp"}])"));
  EXPECT_NE("", fault(R"([{"gatePort":80,"proxyProtocol":"v3"}])"));
  EXPECT_NE("", fault(R"([{"gatePort":80,"proxyProtocol":"v1","protocol":"tcp+udp"}])"));
}

TEST(Services, NothingGoesAheadWhereTheyDoNotWantIt) {
  const auto services = parse_services(R"([{"gatePort":80},{"gatePort":81,"early":false}])", "s.json");
  ASSERT_TRUE(services);
  EXPECT_TRUE(services->front().early);
  EXPECT_FALSE(services->back().early);
  EXPECT_NE(std::string::npos, fault(R"([{"gatePort":80,"early":"no"}])").find("$[0].early"));
}

TEST(Services, AHostStandsAlone) {
  const auto with_host = [](std::string_view host) { return fmt::format(R"([{{"gatePort":80,"serviceHost":"{}"}}])", host); };
  for (const char* good : {"a", "db.hyper", "my_db-1", "127.0.0.1", "::1", "[::1]", "fe80::1%eth0", "xn--bcher-kva.example"})
    EXPECT_TRUE(parse_services(with_host(good), "s.json").ok()) << good;
  for (const char* bad : {"127.0.0.1:80", "db:5432", "[::1]:80", "[::1", "http://127.0.0.1", "a/b", " a", "a ", "a b", "a\\n"}) {
    const auto services = parse_services(with_host(bad), "s.json");
    ASSERT_FALSE(services.ok()) << bad;
    EXPECT_NE(services.error().message.find("$[0].serviceHost"), std::string::npos) << services.error().message;
  }
}

TEST(Services, AByteOrderMarkIsNoFault) { EXPECT_TRUE(parse_services("\xEF\xBB\xBF[{\"gatePort\":80}]", "s.json").ok()); }

}  // namespace
}  // namespace hg::tunnel
