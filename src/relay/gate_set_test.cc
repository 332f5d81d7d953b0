#include "support/ipv6.h"
#include "support/relay_members.h"

namespace hg::relay {
namespace {

using namespace test;

TEST_F(RelayTest, ALostPeerResetsItsClientsAndTheGateClosesAndComesBack) {
  start();
  auto c = client();
  ASSERT_TRUE(wait([&] { return served_.size() == 1; }));
  gateway_end_->cut();
  ASSERT_TRUE(wait([&] { return c->reset; }));
  ASSERT_TRUE(wait([&] { return gates_->status().empty(); }));
  Endpoint refused(loop_, loopback(tcp_port_));
  ASSERT_TRUE(wait([&] { return refused.failed; }));
  connect();
  ASSERT_TRUE(wait([&] { return listening() == 1; }));
  auto again = client();
  ASSERT_TRUE(wait([&] { return served_.size() == 2; }));
}

TEST_F(RelayTest, OpenClientsOutliveTheirGateAndItComesBackBesideThem) {
  echo_ = true;
  serve_udp_echo();
  tunnel::Limits limits;
  limits.silent_routes = 100ms;
  start(limits);
  auto c = client();
  c->send_pattern(1000);
  auto flow = std::move(*io::udp_connect(loop_, loopback(udp_port_)));
  int answers = 0;
  flow->set_handler([&](const io::SocketAddress&, ByteView) { ++answers; });
  flow->send(as_bytes("x"));
  ASSERT_TRUE(wait([&] { return c->in.size() == 1000 && answers == 1; }));
  gateway_end_->set_answering(false);
  ASSERT_TRUE(wait([&] { return gates_->status().empty(); }));
  EXPECT_EQ(2u, gates_->clients());
  Endpoint refused(loop_, loopback(tcp_port_));
  ASSERT_TRUE(wait([&] { return refused.failed; }));
  c->send(as_bytes("still here"));
  flow->send(as_bytes("y"));
  gateway_end_->set_answering(true);
  ASSERT_TRUE(wait([&] { return listening() == 2 && c->in.size() == 1010 && answers == 2; }));
  auto later = client();
  later->send_pattern(1000);
  auto other = std::move(*io::udp_connect(loop_, loopback(udp_port_)));
  other->set_handler([&](const io::SocketAddress&, ByteView) { ++answers; });
  other->send(as_bytes("z"));
  ASSERT_TRUE(wait([&] { return later->in.size() == 1000 && answers == 3; }));
  EXPECT_EQ(4u, gates_->clients());
  c->end();
  later->end();
  ASSERT_TRUE(wait([&] { return c->ended && later->ended && gates_->clients() == 2; }));
}

TEST_F(RelayTest, AGateAndItsServiceCountWhatTheirChannelsCarry) {
  serve_udp_echo();
  start();
  auto c = client();
  c->send_pattern(1000);
  ASSERT_TRUE(wait([&] { return served_.size() == 1 && served_[0]->in.size() == 1000; }));
  served_[0]->send_pattern(3'000'000);
  auto flow = std::move(*io::udp_connect(loop_, loopback(udp_port_)));
  int answers = 0;
  flow->set_handler([&](const io::SocketAddress&, ByteView) { ++answers; });
  flow->send(as_bytes("early"));
  ASSERT_TRUE(wait([&] { return answers == 1; }));
  flow->send(as_bytes("later on"));
  ASSERT_TRUE(wait([&] { return answers == 2 && c->in.size() == 3'000'000; }));
  const tunnel::GateTraffic& gates = gateway_->gateway()->traffic();
  EXPECT_EQ(1000u, gates.find({tcp_port_, Protocol::kTcp})->to_peers);
  EXPECT_EQ(3'000'000u, gates.find({tcp_port_, Protocol::kTcp})->from_peers);
  EXPECT_EQ(13u, gates.find({udp_port_, Protocol::kUdp})->to_peers);
  EXPECT_EQ(13u, gates.find({udp_port_, Protocol::kUdp})->from_peers);
  EXPECT_EQ(1013u, gateway_->counters().bytes_to_peers) << "the sum, and nothing twice";
  const tunnel::Provider& provider = *provider_->provider();
  EXPECT_EQ(3'000'000u, provider.health(provider.services()[0]).traffic->to_peers);
  EXPECT_EQ(1000u, provider.health(provider.services()[0]).traffic->from_peers);
  EXPECT_EQ(13u, provider.health(provider.services()[1]).traffic->to_peers);
  EXPECT_EQ(13u, provider.health(provider.services()[1]).traffic->from_peers);
}

TEST_F(RelayTest, AGatesTotalOutlivesIt) {
  echo_ = true;
  start();
  const tunnel::GateKey gate{tcp_port_, Protocol::kTcp};
  auto c = client();
  c->send_pattern(1000);
  ASSERT_TRUE(wait([&] { return c->in.size() == 1000; }));
  const auto services = provider_->provider()->services();
  provider_->provider()->set_services({});
  ASSERT_TRUE(wait([&] { return gates_->status().empty(); }));
  EXPECT_EQ(1u, gates_->clients(gate));
  c->send(as_bytes("still here"));
  ASSERT_TRUE(wait([&] { return c->in.size() == 1010; }));
  provider_->provider()->set_services(services);
  ASSERT_TRUE(wait([&] { return listening() == 1; }));
  auto later = client();
  later->send_pattern(1000);
  ASSERT_TRUE(wait([&] { return later->in.size() == 1000; }));
  EXPECT_EQ(2010u, gateway_->gateway()->traffic().find(gate)->to_peers);
  EXPECT_EQ(2010u, gateway_->gateway()->traffic().find(gate)->from_peers);
  EXPECT_EQ(2u, gates_->clients(gate));
}

TEST_F(RelayTest, AClientWhoseChannelIsNotOpenGoesWithItsGate) {
  tunnel::Limits limits;
  limits.silent_routes = 200ms;
  start(limits);
  gateway_end_->set_answering(false);
  auto c = client();
  ASSERT_TRUE(wait([&] { return gateway_->gateway()->openings() == 1; }));
  EXPECT_EQ(1u, gates_->clients());
  ASSERT_TRUE(wait([&] { return c->ended || c->reset; }, 5s));
  EXPECT_EQ(0u, gates_->clients());
}

TEST_F(RelayTest, AUdpGateThatIsWithdrawnKeepsItsPortForItsFlowsOnly) {
  serve_udp_echo();
  tunnel::Limits limits;
  limits.udp_socket_timeout = 500ms;
  limits.channel_timeout_poll = 50ms;
  start(limits);
  auto flow = std::move(*io::udp_connect(loop_, loopback(udp_port_)));
  int answers = 0;
  flow->set_handler([&](const io::SocketAddress&, ByteView) { ++answers; });
  flow->send(as_bytes("x"));
  ASSERT_TRUE(wait([&] { return answers == 1; }));
  provider_->provider()->set_services({});
  ASSERT_TRUE(wait([&] { return gates_->status().empty(); }));
  flow->send(as_bytes("y"));
  ASSERT_TRUE(wait([&] { return answers == 2; }));
  auto stranger = std::move(*io::udp_connect(loop_, loopback(udp_port_)));
  stranger->send(as_bytes("z"));
  EXPECT_EQ(1u, gates_->clients());
  ASSERT_TRUE(wait([&] { return io::udp_bind(loop_, loopback(udp_port_)).ok(); }));
  EXPECT_EQ(0u, gates_->clients());
  EXPECT_EQ(1u, gateway_->counters().channels_opened);
}

TEST_F(RelayTest, AGateWhosePortIsTakenIsTriedAgain) {
  const uint16_t port = hg::test::free_port(loop_);
  auto taken = io::tcp_listen(loop_, loopback(port), [](auto) {});
  ASSERT_TRUE(taken);
  start();
  provider_->provider()->set_services({{port, "127.0.0.1", service_->local_address().port(), Protocol::kTcp, {}, {}}});
  ASSERT_TRUE(wait([&] { return gates_->status().size() == 1 && !gates_->status()[0].fault.empty(); }));
  EXPECT_FALSE(gates_->status()[0].listening);
  taken->reset();
  ASSERT_TRUE(wait([&] { return listening() == 1; }));
  EXPECT_TRUE(gates_->status()[0].fault.empty());
}

TEST_F(RelayTest, GatesListenOnIpv6) {
  if (!hg::test::has_ipv6()) GTEST_SKIP() << "this machine has no IPv6";
  start({}, "::1");
  Endpoint c(loop_, loopback(tcp_port_, "::1"));
  c.send(as_bytes("six"));
  ASSERT_TRUE(wait([&] { return served_.size() == 1 && served_[0]->in.size() == 3; }));
}

TEST_F(RelayTest, ShutdownClosesTheGatesAndLetsClientsFinish) {
  start();
  auto c = client();
  ASSERT_TRUE(wait([&] { return served_.size() == 1; }));
  bool done = false;
  gates_->stop_listening();
  gateway_->shutdown(5s, [&] { done = true; });
  Endpoint late(loop_, loopback(tcp_port_));
  ASSERT_TRUE(wait([&] { return late.failed; }));
  served_[0]->send_pattern(1'000'000);
  served_[0]->end();
  ASSERT_TRUE(wait([&] { return c->ended; }));
  EXPECT_TRUE(c->holds_pattern(1'000'000));
  EXPECT_FALSE(done);
  c->end();
  ASSERT_TRUE(wait([&] { return done; }, 4s));
}

TEST_F(RelayTest, AProviderThatStopsDeliversWhatIsUnderWay) {
  start();
  auto c = client();
  ASSERT_TRUE(wait([&] { return served_.size() == 1; }));
  served_[0]->send_pattern(30'000'000);
  served_[0]->end();
  ASSERT_TRUE(wait([&] { return c->in.size() > 100'000; }));
  bool done = false;
  provider_->shutdown(5s, [&] { done = true; });
  ASSERT_TRUE(wait([&] { return gates_->status().empty(); }));
  c->end();
  ASSERT_TRUE(wait([&] { return c->ended && done; }));
  EXPECT_TRUE(c->holds_pattern(30'000'000));
}

// An answer that is cut short must not look whole.
class CutShort : public RelayTest {
 protected:
  void by(const std::unique_ptr<tunnel::Node>& member) {
    start();
    auto c = client();
    ASSERT_TRUE(wait([&] { return served_.size() == 1; }));
    served_[0]->send_pattern(1000);
    ASSERT_TRUE(wait([&] { return c->in.size() == 1000; }));
    member->shutdown(50ms, [] {});
    ASSERT_TRUE(wait([&] { return c->reset || c->ended; }));
    EXPECT_TRUE(c->reset);
  }
};

TEST_F(CutShort, ByAProviderThatStopsAnAnswerIsReset) { by(provider_); }
TEST_F(CutShort, ByAGatewayThatStopsAnAnswerIsReset) { by(gateway_); }

TEST_F(RelayTest, AClientThatReadsLateIsResetByAProgramThatEnds) {
  start();
  auto c = client();
  ASSERT_TRUE(wait([&] { return served_.size() == 1; }));
  c->pause();
  served_[0]->send_pattern(30'000'000);
  ASSERT_TRUE(wait([&] { return gateway_->counters().bytes_from_peers > 1'000'000; }));
  gates_.reset();
  c->resume();
  ASSERT_TRUE(wait([&] { return c->reset || c->ended; }));
  EXPECT_TRUE(c->reset);
}

}  // namespace
}  // namespace hg::relay
