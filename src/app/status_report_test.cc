#include "app/status_report.h"

#include "app/status_endpoint.h"
#include "app/status_page.h"
#include "support/log_lines.h"
#include "support/relay_members.h"

namespace hg::app {
namespace {

namespace json = boost::json;

/// A gateway and a provider joined by a pipe; what each says of itself.
class StatusReportTest : public relay::test::RelayTest {
 protected:
  json::object report(const tunnel::Node& node, bool everything = true) const {
    return status_report({.now = loop_.now(),
                          .wall_ms = loop_.wall_ms(),
                          .uptime = 5s,
                          .warnings = warnings_,
                          .node = &node,
                          .dht = nullptr,
                          .rate = nullptr,
                          .gates = &node == gateway_.get() ? gates_.get() : nullptr,
                          .relay = std::nullopt,
                          .router = PublicKey{}},
                         everything);
  }
  static std::string text(const json::object& report) { return json::serialize(report); }
  std::string service_port() const { return std::to_string(service_->local_address().port()); }

  RecentWarnings warnings_{loop_};
};

TEST_F(StatusReportTest, AGatewayTellsOfItsGatesAndPeers) {
  start();
  auto c = client();
  ASSERT_TRUE(wait([&] { return served_.size() == 1; }));
  const json::object report = this->report(*gateway_);
  EXPECT_EQ(json::array{"gateway"}, report.at("roles"));
  EXPECT_TRUE(report.at("services").is_null());
  const json::object& gates = report.at("gates").as_object();
  EXPECT_EQ(1, gates.at("open").to_number<int>());
  EXPECT_EQ(1, gates.at("clients").to_number<int>());
  const json::object& gate = gates.at("list").at(0).as_object();
  EXPECT_EQ(tcp_port_, gate.at("port").to_number<int>());
  EXPECT_EQ("tcp", gate.at("protocol"));
  EXPECT_EQ("127.0.0.1", gate.at("serviceHost"));
  EXPECT_EQ(service_port(), json::serialize(gate.at("servicePort")));
  EXPECT_EQ(1, gate.at("clients").to_number<int>());
  const json::object& peer = report.at("peers").at("list").at(0).as_object();
  EXPECT_EQ("provider", peer.at("role"));
  EXPECT_EQ(peer.at("peer"), gate.at("providers").at("list").at(0));
  EXPECT_EQ(64u, peer.at("peer").as_string().size());
  EXPECT_TRUE(peer.at("answering").as_bool());
}

TEST_F(StatusReportTest, ASilentProviderIsFirstAndItsRoutesAreCounted) {
  start();
  gateway_end_->set_answering(false);
  const json::object report = this->report(*gateway_);
  EXPECT_FALSE(report.at("peers").at("list").at(0).at("answering").as_bool());
  EXPECT_EQ(1, report.at("gates").at("list").at(0).at("silentProviders").to_number<int>());
  EXPECT_EQ(R"({"offered":1,"filtered":0,"silent":1,"unusable":0})", json::serialize(report.at("routes")));
}

TEST_F(StatusReportTest, AGateThatCannotOpenComesFirstWithTheReason) {
  const auto taken = *io::tcp_listen(loop_, loopback(0), [](auto) {});
  start();
  const uint16_t port = taken->local_address().port();
  provider_->provider()->set_services(
      {{tcp_port_, "127.0.0.1", 1, tunnel::Protocol::kTcp, {}, {}}, {port, "b", 2, tunnel::Protocol::kTcp, {}, {}}});
  ASSERT_TRUE(wait([&] { return gates_->status().size() == 2; }));
  const json::object report = this->report(*gateway_);
  const json::object& first = report.at("gates").at("list").at(0).as_object();
  EXPECT_EQ(port, first.at("port").to_number<int>());
  EXPECT_FALSE(first.at("open").as_bool());
  EXPECT_NE(std::string::npos, std::string_view(first.at("fault").as_string()).find("in use")) << text(report);
  EXPECT_EQ(1, report.at("gates").at("open").to_number<int>());
}

TEST_F(StatusReportTest, AGateThatWouldBeItsServiceIsNotOpen) {
  start();
  gateway_->gateway()->set_leads_back([](const tunnel::Service& service, const hg::Endpoint&) {
    return service.gate_port == 9 ? tunnel::Leads::kBack : tunnel::Leads::kElsewhere;
  });
  provider_->provider()->set_services({{9, "here", 9, tunnel::Protocol::kTcp, {}, {}}});
  ASSERT_TRUE(wait([&] { return gates_->status().empty(); }));
  const json::object report = this->report(*gateway_);
  const json::object& gate = report.at("gates").at("list").at(0).as_object();
  EXPECT_EQ("here", gate.at("serviceHost"));
  EXPECT_NE(std::string::npos, std::string_view(gate.at("fault").as_string()).find("another gatePort"));
}

TEST_F(StatusReportTest, AProviderTellsWhichServiceRefuses) {
  start();
  service_.reset();
  auto c = client();
  ASSERT_TRUE(wait([&] { return provider_->counters().refused_connect_failed == 1; }));
  const json::object report = this->report(*provider_);
  EXPECT_TRUE(report.at("gates").is_null());
  const json::object& service = report.at("services").at("list").at(0).as_object();
  EXPECT_FALSE(service.at("works").as_bool());
  EXPECT_EQ(1, service.at("refused").to_number<int>());
  EXPECT_TRUE(service.at("connectedMsAgo").is_null());
  EXPECT_GE(service.at("refusedMsAgo").to_number<int>(), 0);
  EXPECT_NE(std::string::npos, std::string_view(service.at("refusedWhy").as_string()).find("efused")) << text(report);
  EXPECT_EQ(R"({"connect":1})", json::serialize(report.at("refused").at("channels")));
}

TEST_F(StatusReportTest, AnotherMachineHearsOfNoAddressKeyOrReason) {
  hg::test::LogLines lines;
  start();
  gateway_->gateway()->admissions().set_override("203.0.113.9", loop_.wall_ms() + 60000);
  service_.reset();
  auto c = client();
  ASSERT_TRUE(wait([&] { return c->ended || c->reset; }));
  ASSERT_EQ(1u, warnings_.count());
  for (const tunnel::Node* node : {gateway_.get(), provider_.get()}) {
    const std::string all = text(report(*node));
    const std::string some = text(report(*node, false));
    EXPECT_NE(std::string::npos, all.find("127.0.0.1"));
    for (const char* kept : {"127.0.0.1", "203.0.113.9", "Connection refused"})
      EXPECT_EQ(std::string::npos, some.find(kept)) << kept << " in " << some;
    EXPECT_EQ(8u, report(*node, false).at("peers").at("list").at(0).at("peer").as_string().size());
    EXPECT_TRUE(report(*node, false).at("router").is_null());
  }
  EXPECT_TRUE(report(*gateway_, false).at("gates").at("list").at(0).at("servicePort").is_null());
  EXPECT_TRUE(report(*provider_, false).at("services").at("list").at(0).at("servicePort").is_null());
  EXPECT_EQ(1, report(*gateway_, false).at("unlimited").at("count").to_number<int>());
  EXPECT_NE(std::string::npos, text(report(*gateway_)).find("203.0.113.9"));
}

TEST_F(StatusReportTest, GatesAndServicesTellWhatWentThroughThem) {
  start();
  auto c = client();
  c->send_pattern(1000);
  ASSERT_TRUE(wait([&] { return served_.size() == 1 && served_[0]->in.size() == 1000; }));
  served_[0]->send_pattern(3000);
  ASSERT_TRUE(wait([&] { return c->in.size() == 3000; }));
  const json::value gate = report(*gateway_).at("gates").at("list").at(0);
  EXPECT_EQ(1000, gate.at("bytesToPeers").to_number<int>());
  EXPECT_EQ(3000, gate.at("bytesFromPeers").to_number<int>());
  EXPECT_TRUE(gate.at("mbpsToPeers").is_null()) << "no reading yet";
  const json::value service = report(*provider_).at("services").at("list").at(0);
  EXPECT_EQ(3000, service.at("bytesToPeers").to_number<int>());
  EXPECT_EQ(1000, service.at("bytesFromPeers").to_number<int>());
  EXPECT_TRUE(service.at("mbpsFromPeers").is_null());
  const auto of_gate = read_traffic(*gateway_).parts;
  ASSERT_EQ(1u, of_gate.size());
  EXPECT_EQ(1000, of_gate.begin()->second.out);
  const auto of_service = read_traffic(*provider_).parts;
  ASSERT_EQ(1u, of_service.size());
  EXPECT_EQ(1000, of_service.begin()->second.in);
}

TEST_F(StatusReportTest, OfManyGatesAndServicesThoseWithTheMostBytesAreListed) {
  start();
  std::vector<tunnel::Service> services;
  for (uint16_t port = 20001; port <= 20300; ++port) services.push_back({port, "127.0.0.1", 1, tunnel::Protocol::kTcp, {}, {}});
  const uint16_t last = services.back().gate_port;
  services.back().service_port = service_->local_address().port();
  provider_->provider()->set_services(std::move(services));
  ASSERT_TRUE(wait([&] { return gates_->status().size() == 300; }));
  const auto listed = [&](const char* list, const char* port) {
    const json::object report = this->report(std::string_view(list) == "gates" ? *gateway_ : *provider_);
    const json::array& rows = report.at(list).at("list").as_array();
    return std::any_of(rows.begin(), rows.end(), [&](const json::value& row) { return row.at(port) == last; });
  };
  EXPECT_FALSE(listed("gates", "port"));
  EXPECT_FALSE(listed("services", "gatePort"));
  relay::test::NoSocket client;
  const auto channel = gateway_->gateway()->open({{last, tunnel::Protocol::kTcp}, {}, {}}, client);
  ASSERT_TRUE(wait([&] { return channel->state() == tunnel::Channel::State::kOpen; }));
  gateway_->gateway()->traffic().all().begin()->second->to_peers = 1;
  provider_->provider()->health().begin()->second->traffic->to_peers = 1;
  EXPECT_TRUE(listed("gates", "port"));
  EXPECT_TRUE(listed("services", "gatePort"));
}

TEST_F(StatusReportTest, ListsAreCutAndCounted) {
  start();
  std::vector<tunnel::Service> services;
  for (uint16_t port = 1; port <= 300; ++port) services.push_back({port, "unix:/a", 0, tunnel::Protocol::kTcp, {}, {}});
  provider_->provider()->set_services(std::move(services));
  const json::object report = this->report(*provider_);
  EXPECT_EQ(300, report.at("services").at("count").to_number<int>());
  EXPECT_EQ(kMostListed, report.at("services").at("list").as_array().size());
}

TEST_F(StatusReportTest, OnlyTheLastWarningsAreKept) {
  hg::test::LogLines lines;
  HG_LOG(kInfo, "test", "no warning");
  for (int i = 1; i <= 20; ++i) HG_LOG(kWarn, "test", "number {} \x1b[2J", i);
  EXPECT_EQ(20u, warnings_.count());
  ASSERT_EQ(RecentWarnings::kMost, warnings_.lines().size());
  EXPECT_EQ("number 5 ?[2J", warnings_.lines().front().message);
}

TEST(StatusPage, IsOfOnePieceAndWritesNoHtmlOfOthers) {
  const std::string page = status_page("abc123");
  EXPECT_NE(std::string::npos, page.find(R"(<script nonce="abc123">)"));
  EXPECT_NE(std::string::npos, page.find(R"(<style nonce="abc123">)"));
  for (const char* way : {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://", "src=", "NONCE",
                          " style=", "onclick"})
    EXPECT_EQ(std::string::npos, page.find(way)) << way;
}

}  // namespace
}  // namespace hg::app
