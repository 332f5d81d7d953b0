#include "app/metrics.h"

#include "support/relay_members.h"

namespace hg::app {
namespace {

class MetricsTest : public relay::test::RelayTest {
 protected:
  void SetUp() override {
    if (!has_metrics()) GTEST_SKIP() << "a build without them";
    RelayTest::SetUp();
  }
  std::string metrics(const tunnel::Node& node) const {
    return render_metrics(
        {.uptime = 1s, .node = &node, .dht = nullptr, .gates = &node == gateway_.get() ? gates_.get() : nullptr, .relay = std::nullopt});
  }
  std::string tcp_line(std::string_view metric, std::string_view more, int value) const {
    return fmt::format("\n{}{{gate=\"{}/tcp\"{}}} {}\n", metric, tcp_port_, more, value);
  }
};

bool says(const std::string& text, const std::string& what) { return text.find(what) != std::string::npos; }

TEST_F(MetricsTest, TellOfTheBytesOfEachGateAndService) {
  start();
  EXPECT_FALSE(says(metrics(*gateway_), "gate=")) << "nobody has come";
  EXPECT_FALSE(says(metrics(*provider_), "gate="));
  auto c = client();
  c->send_pattern(1000);
  ASSERT_TRUE(wait([&] { return served_.size() == 1 && served_[0]->in.size() == 1000; }));
  served_[0]->send_pattern(3000);
  ASSERT_TRUE(wait([&] { return c->in.size() == 3000; }));
  const std::string at_gateway = metrics(*gateway_);
  const std::string at_provider = metrics(*provider_);
  const std::string to_peers = ",direction=\"to_peers\"";
  const std::string from_peers = ",direction=\"from_peers\"";
  EXPECT_TRUE(says(at_gateway, tcp_line("hypergate_gate_bytes_total", to_peers, 1000))) << at_gateway;
  EXPECT_TRUE(says(at_gateway, tcp_line("hypergate_gate_bytes_total", from_peers, 3000))) << at_gateway;
  EXPECT_TRUE(says(at_gateway, tcp_line("hypergate_gate_clients", "", 1))) << at_gateway;
  EXPECT_TRUE(says(at_provider, tcp_line("hypergate_service_bytes_total", to_peers, 3000))) << at_provider;
  EXPECT_TRUE(says(at_provider, tcp_line("hypergate_service_bytes_total", from_peers, 1000))) << at_provider;
  EXPECT_FALSE(says(at_provider, "127.0.0.1")) << at_provider;
}

TEST_F(MetricsTest, OfManyGatesThoseWithTheMostBytesAreNamed) {
  start();
  relay::test::NoSocket client;
  const auto& all = gateway_->gateway()->traffic().all();
  for (uint16_t port = 1; port <= kMostMeasured + 1; ++port) {
    gateway_->gateway()->open({{port, tunnel::Protocol::kUdp}, {}, {}}, client);
    all.at({port, tunnel::Protocol::kUdp})->to_peers = port;
  }
  const std::string text = metrics(*gateway_);
  EXPECT_FALSE(says(text, "gate=\"1/udp\"")) << text;
  EXPECT_TRUE(says(text, "hypergate_gate_bytes_total{gate=\"2/udp\",direction=\"to_peers\"} 2\n")) << text;
  EXPECT_TRUE(says(text, "hypergate_gate_clients{gate=\"2/udp\"} 0\n")) << text;
  EXPECT_LT(text.find("gate=\"257/udp\""), text.find("gate=\"2/udp\"")) << "the most first";
}

}  // namespace
}  // namespace hg::app
