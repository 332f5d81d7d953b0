#include "io/file_descriptor.h"
#include "support/relay_members.h"

namespace hg::relay {
namespace {

using namespace test;

TEST_F(RelayTest, AHalfClosingClientGetsItsWholeAnswer) {
  start();
  auto c = client();
  c->send_pattern(1'000'000);
  c->end();
  ASSERT_TRUE(wait([&] { return served_.size() == 1 && served_[0]->ended; }));
  EXPECT_TRUE(served_[0]->holds_pattern(1'000'000));
  served_[0]->send_pattern(3'000'000);
  served_[0]->end();
  ASSERT_TRUE(wait([&] { return c->ended; }));
  EXPECT_TRUE(c->holds_pattern(3'000'000));
  ASSERT_TRUE(wait([&] { return gates_->clients() == 0 && links_->links() == 0; }));
  EXPECT_EQ(0u, gateway_->counters().channels_open);
  EXPECT_EQ(0u, provider_->counters().channels_open);
}

TEST_F(RelayTest, AServiceThatEndsFirstStillHearsTheClient) {
  start();
  auto c = client();
  ASSERT_TRUE(wait([&] { return served_.size() == 1; }));
  served_[0]->send(as_bytes("220 hello"));
  served_[0]->end();
  ASSERT_TRUE(wait([&] { return c->ended; }));
  c->send_pattern(500'000);
  c->end();
  ASSERT_TRUE(wait([&] { return served_[0]->ended; }));
  EXPECT_TRUE(served_[0]->holds_pattern(500'000));
}

TEST_F(RelayTest, TwoHundredConnectionsAtOnce) {
  echo_ = true;
  start();
  std::vector<std::unique_ptr<Endpoint>> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(client());
    clients.back()->send_pattern(100'000);
  }
  ASSERT_TRUE(wait([&] { return std::all_of(clients.begin(), clients.end(), [](const auto& c) { return c->in.size() == 100'000; }); }));
  for (const auto& c : clients) {
    EXPECT_TRUE(c->holds_pattern(100'000));
    c->end();
  }
  ASSERT_TRUE(wait([&] { return std::all_of(clients.begin(), clients.end(), [](const auto& c) { return c->ended; }); }));
  ASSERT_TRUE(wait([&] { return gates_->clients() == 0 && links_->links() == 0; }));
  EXPECT_EQ(200u, gateway_->counters().channels_opened);
}

TEST_F(RelayTest, AClientThatReadsLateLosesNothing) {
  tunnel::Limits limits;
  limits.max_buffer_per_channel = 500'000;
  start(limits);
  auto c = client();
  ASSERT_TRUE(wait([&] { return served_.size() == 1; }));
  c->pause();
  served_[0]->send_pattern(30'000'000);
  served_[0]->end();
  wait([] { return false; }, 300ms);
  EXPECT_LT(gateway_->counters().bytes_from_peers, 30'000'000u);
  c->resume();
  ASSERT_TRUE(wait([&] { return c->ended; }));
  EXPECT_TRUE(c->holds_pattern(30'000'000));
}

TEST_F(RelayTest, ARefusedServiceClosesTheClientAtOnce) {
  start();
  service_.reset();
  auto c = client();
  ASSERT_TRUE(wait([&] { return c->ended || c->reset; }, 3s));
  EXPECT_EQ(1u, provider_->counters().refused_connect_failed);
  ASSERT_TRUE(wait([&] { return gates_->clients() == 0; }));
}

TEST_F(RelayTest, AServicesHealthTellsOfItsLastConnections) {
  start();
  const auto health = [this] { return provider_->provider()->health(provider_->provider()->services().front()); };
  EXPECT_EQ(0u, health().connected + health().refused) << "nobody has asked";
  auto c = client();
  ASSERT_TRUE(wait([&] { return health().connected == 1; }));
  EXPECT_EQ(0u, health().refused);
  service_.reset();
  auto late = client();
  ASSERT_TRUE(wait([&] { return health().refused == 1; }));
  EXPECT_GE(health().last_refused, health().last_connected);
  EXPECT_NE(std::string::npos, health().why_refused.find("refused")) << health().why_refused;
  auto services = provider_->provider()->services();
  services.front().tags = "changed";
  provider_->provider()->set_services(services);
  EXPECT_EQ(1u, health().refused) << "it is where it was";
  services.front().service_port ^= 1;
  provider_->provider()->set_services(services);
  EXPECT_EQ(0u, health().refused) << "another port is another service";
  services.front().service_port ^= 1;
  provider_->provider()->set_services(services);
  EXPECT_EQ(0u, health().refused) << "one that is back begins anew";
}

TEST_F(RelayTest, AClientThatVanishesClosesTheServicesSocket) {
  start();
  auto c = client();
  ASSERT_TRUE(wait([&] { return served_.size() == 1; }));
  c->socket->reset_on_close();
  c.reset();
  ASSERT_TRUE(wait([&] { return served_[0]->ended || served_[0]->reset; }));
  EXPECT_TRUE(served_[0]->reset);
  ASSERT_TRUE(wait([&] { return links_->links() == 0; }, 3s));
}

TEST_F(RelayTest, ARequestReachesItsServiceInOneCrossing) {
  delay_ = 100ms;
  start();
  const TimePoint before = loop_.now();
  auto c = client();
  c->send(as_bytes("GET / HTTP/1.1\r\n\r\n"));
  c->end();
  ASSERT_TRUE(wait([&] { return served_.size() == 1 && served_[0]->ended; }));
  EXPECT_LT(loop_.now() - before, 290ms) << "three crossings would be 300";
  EXPECT_EQ(as_text(served_[0]->in), "GET / HTTP/1.1\r\n\r\n");
  served_[0]->send_pattern(1000);
  served_[0]->end();
  ASSERT_TRUE(wait([&] { return c->ended; }));
  EXPECT_TRUE(c->holds_pattern(1000));
}

TEST_F(RelayTest, AClientThatLeavesBeforeItsChannelOpensIsForgottenAtOnce) {
  delay_ = 200ms;
  start();
  auto c = client();
  c->send(as_bytes("GET /"));
  ASSERT_TRUE(wait([&] { return gateway_->counters().bytes_to_peers == 5; }));
  const TimePoint before = loop_.now();
  c->socket->reset_on_close();
  c.reset();
  ASSERT_TRUE(wait([&] { return gates_->clients() == 0; }));
  EXPECT_LT(loop_.now() - before, 390ms) << "the confirmation comes after 400";
  ASSERT_TRUE(wait([&] { return provider_->counters().channels_open == 0 && links_->links() == 0; }));
}

// Nothing is read any more from who has ended, and nothing may be there to write: the break says itself.
TEST_F(RelayTest, WhoHasEndedAndBreaksIsNoticed) {
  start();
  auto c = client();
  c->end();
  ASSERT_TRUE(wait([&] { return served_.size() == 1 && served_[0]->ended; }));
  c->socket->reset_on_close();
  c.reset();
  ASSERT_TRUE(wait([&] { return gates_->clients() == 0; }));
  ASSERT_TRUE(wait([&] { return links_->links() == 0; }));

  auto other = client();
  ASSERT_TRUE(wait([&] { return served_.size() == 2; }));
  served_[1]->end();
  ASSERT_TRUE(wait([&] { return other->ended; }));
  served_[1]->socket->reset_on_close();
  served_.clear();
  EXPECT_TRUE(wait([&] { return links_->links() == 0; }));
}

TEST_F(RelayTest, IdleClientsExpire) {
  serve_udp_echo();
  tunnel::Limits limits;
  limits.udp_socket_timeout = 200ms;
  limits.tcp_socket_timeout = 300ms;
  limits.channel_timeout_poll = 50ms;
  start(limits);
  auto socket = std::move(*io::udp_connect(loop_, loopback(udp_port_)));
  socket->send(as_bytes("x"));
  auto c = client();
  ASSERT_TRUE(wait([&] { return gates_->clients() == 2 && links_->links() == 2; }));
  ASSERT_TRUE(wait([&] { return gates_->clients() == 0 && links_->links() == 0; }));
  EXPECT_TRUE(wait([&] { return c->ended || c->reset; }));
}

TEST_F(RelayTest, ADeniedClientThatResetsBeforeItIsAcceptedIsDenied) {
  start();
  set_policy(R"({"ips":{"127.0.0.1":{"allow":false}}})");
  const io::SocketAddress gate = loopback(tcp_port_);
  {
    const io::FileDescriptor fd(::socket(AF_INET, SOCK_STREAM, 0));
    const linger abort{1, 0};
    ASSERT_EQ(0, ::connect(fd.get(), gate.data(), gate.size()));
    ASSERT_EQ(1, ::send(fd.get(), "X", 1, MSG_NOSIGNAL));
    ASSERT_EQ(0, ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort));
  }
  ASSERT_TRUE(wait([&] { return gateway_->counters().refused_ingress == 1 || !served_.empty(); }));
  ASSERT_TRUE(wait([&] { return gates_->clients() == 0; }));
  EXPECT_EQ(1u, gateway_->counters().refused_ingress);
  EXPECT_TRUE(served_.empty());
}

}  // namespace
}  // namespace hg::relay
