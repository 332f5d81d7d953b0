#include <gtest/gtest.h>

#include <algorithm>

#include "crypto/crypto.h"
#include "io/file_descriptor.h"
#include "io/local_udp.h"
#include "io/tcp.h"
#include "relay/gate_set.h"
#include "relay/service_links.h"
#include "relay/shaped.h"
#include "support/descriptor_limit.h"
#include "support/tunnel_pipe.h"
#include "tunnel/fingerprint.h"
#include "tunnel/node.h"

namespace hg::relay {
namespace {

using io::IoResult;
using tunnel::Protocol;

const tunnel::RouterKeys& router() {
  static const tunnel::RouterKeys keys = [] {
    crypto::init();
    return tunnel::derive_router_keys(Seed{1, 2, 3});
  }();
  return keys;
}

PublicKey key(uint8_t fill) {
  PublicKey k;
  k.fill(fill);
  return k;
}

uint8_t pattern(size_t i) { return static_cast<uint8_t>(i * 131 + (i >> 11)); }

/// One end of a local TCP connection: sends what it is given, keeps what comes.
class Endpoint final : public io::TcpHandler {
 public:
  explicit Endpoint(std::unique_ptr<io::TcpSocket> accepted) { attach(std::move(accepted)); }
  Endpoint(io::Loop& loop, const io::SocketAddress& address) {
    connect_ = io::tcp_connect(loop, address, 5s, [this](auto result) {
      if (result.ok()) {
        attach(std::move(*result));
      } else {
        failed = true;
      }
    });
  }
  void send(ByteView data) {
    append_bytes(out_, data);
    flush();
  }
  void send_pattern(size_t bytes) {
    Bytes data(bytes);
    for (size_t i = 0; i < bytes; ++i) data[i] = pattern(i);
    send(data);
  }
  void end() {
    end_ = true;
    flush();
  }
  void pause() { socket->watch_read(false); }
  void resume() { socket->watch_read(true); }
  bool holds_pattern(size_t bytes) const {
    if (in.size() != bytes) return false;
    for (size_t i = 0; i < bytes; ++i) {
      if (in[i] != pattern(i)) return false;
    }
    return true;
  }

  void on_readable() override {
    uint8_t area[65536];
    const IoResult result = socket->read(area);
    if (result.kind == IoResult::Kind::kBytes) {
      append_bytes(in, ByteView(area, result.bytes));
      if (echo) send(ByteView(area, result.bytes));
    } else if (result.kind == IoResult::Kind::kEnd) {
      ended = true;
      socket->watch_read(false);
      if (echo) end();
    } else if (result.kind == IoResult::Kind::kError) {
      reset = true;
      socket->watch_read(false);
    }
  }
  void on_writable() override { flush(); }

  std::unique_ptr<io::TcpSocket> socket;
  Bytes in;
  bool ended = false;
  bool reset = false;
  bool failed = false;
  bool echo = false;

 private:
  void attach(std::unique_ptr<io::TcpSocket> made) {
    socket = std::move(made);
    socket->set_handler(this);
    socket->watch_read(true);
    flush();
  }
  void flush() {
    if (socket == nullptr) return;
    while (offset_ < out_.size()) {
      const ByteView rest = ByteView(out_).subspan(offset_);
      const IoResult result = socket->write({&rest, 1});
      if (result.kind != IoResult::Kind::kBytes) {
        socket->watch_write(result.kind == IoResult::Kind::kWouldBlock);
        return;
      }
      offset_ += result.bytes;
    }
    socket->watch_write(false);
    if (end_ && !fin_) {
      fin_ = true;
      socket->shutdown_write();
    }
  }

  std::unique_ptr<io::TcpConnect> connect_;
  Bytes out_;
  size_t offset_ = 0;
  bool end_ = false;
  bool fin_ = false;
};

class RelayTest : public ::testing::Test {
 protected:
  static io::SocketAddress loopback(uint16_t port, const char* ip = "127.0.0.1") { return *io::SocketAddress::parse(ip, port); }

  void SetUp() override {
    auto listening = io::tcp_listen(loop_, loopback(0), [this](std::unique_ptr<io::TcpSocket> socket) {
      served_.push_back(std::make_unique<Endpoint>(std::move(socket)));
      served_.back()->echo = echo_;
    });
    ASSERT_TRUE(listening);
    service_ = std::move(*listening);
  }

  uint16_t free_port() {
    auto listening = io::tcp_listen(loop_, loopback(0), [](auto) {});
    return (*listening)->local_address().port();
  }

  /// Gateway and provider of one TCP and one UDP service, joined by a pipe; returns when the gates listen.
  void start(tunnel::Limits limits = {}, const char* listen = "127.0.0.1", size_t gates = 2) {
    limits_ = limits;
    tcp_port_ = free_port();
    udp_port_ = free_port();
    links_ = std::make_unique<ServiceLinks>(loop_, limits_);
    tunnel::NodeOptions gateway_options;
    gateway_options.gateway = true;
    gateway_options.limits = limits_;
    gateway_ = std::make_unique<tunnel::Node>(loop_, router(), gateway_options);
    tunnel::NodeOptions provider_options;
    provider_options.connector = links_.get();
    provider_options.limits = limits_;
    provider_ = std::make_unique<tunnel::Node>(loop_, router(), provider_options);
    links_->set_counters(provider_->counters());
    gates_ = std::make_unique<GateSet>(loop_, *gateway_, loopback(0, listen));
    std::vector<tunnel::Service> services = {{tcp_port_, "127.0.0.1", service_->local_address().port(), Protocol::kTcp, {}, {}}};
    if (udp_service_port_ != 0) services.push_back({udp_port_, "localhost", udp_service_port_, Protocol::kUdp, {}, {}});
    provider_->provider()->set_services(services);
    connect();
    if (udp_service_port_ == 0) gates = std::min<size_t>(gates, 1);
    ASSERT_TRUE(loop_.run_until([&] { return listening() == gates; }, 10s));
  }
  void connect() {
    auto [a, b] = tunnel::make_pipe(loop_, key(1), key(next_key_++), {.delay = delay_});
    gateway_end_ = a.get();
    provider_end_ = b.get();
    gateway_->add_connection(std::move(a));
    provider_->add_connection(std::move(b));
  }
  size_t listening() const {
    const auto status = gates_->status();
    return static_cast<size_t>(std::count_if(status.begin(), status.end(), [](const GateStatus& s) { return s.listening; }));
  }
  /// Returns when the gateway has it.
  void set_policy(const char* text) {
    const uint64_t before = gateway_->gateway()->routes().policy_changes();
    ASSERT_TRUE(provider_->provider()->set_ingress_policy(text));
    ASSERT_TRUE(wait([&] { return gateway_->gateway()->routes().policy_changes() > before; }));
  }
  std::unique_ptr<Endpoint> client() { return std::make_unique<Endpoint>(loop_, loopback(tcp_port_)); }
  bool wait(const std::function<bool()>& done, Duration limit = 20s) { return loop_.run_until(done, limit); }

  /// Before start().
  void serve_udp_echo() {
    auto bound = io::udp_bind(loop_, loopback(0));
    ASSERT_TRUE(bound);
    udp_service_ = std::move(*bound);
    udp_service_->set_handler([this](const io::SocketAddress& from, ByteView data) { udp_service_->send_to(from, data); });
    udp_service_port_ = udp_service_->local_address().port();
  }

  io::Loop loop_{crypto::system_rng()};
  std::unique_ptr<io::TcpListener> service_;
  std::unique_ptr<io::LocalUdp> udp_service_;
  std::vector<std::unique_ptr<Endpoint>> served_;
  bool echo_ = false;
  uint16_t tcp_port_ = 0;
  uint16_t udp_port_ = 0;
  uint16_t udp_service_port_ = 0;
  uint8_t next_key_ = 2;
  Duration delay_{};  // one way
  tunnel::Limits limits_;
  tunnel::PipeEnd* gateway_end_ = nullptr;
  tunnel::PipeEnd* provider_end_ = nullptr;
  std::unique_ptr<ServiceLinks> links_;
  std::unique_ptr<tunnel::Node> gateway_;
  std::unique_ptr<tunnel::Node> provider_;
  std::unique_ptr<GateSet> gates_;
};

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

// Clients whose channel closes before they have taken all. The kernel's buffers hold less than an answer.
class LeftBehindTest : public RelayTest {
 protected:
  static constexpr size_t kAnswer = 6'000'000;

  LeftBehindTest() {
    limits_.initial_window = limits_.max_buffer_per_channel;
    limits_.max_buffer_per_peer = 1 << 30;
  }
  std::unique_ptr<Endpoint> asking_client(bool reads) {
    const size_t before = served_.size();
    auto c = client();
    EXPECT_TRUE(wait([&] { return served_.size() > before && c->socket != nullptr; }));
    if (!reads) c->pause();
    c->end();
    served_.back()->send_pattern(kAnswer);
    served_.back()->end();
    return c;
  }
  uint64_t cut_off() { return gateway_->counters().closed_left_behind; }
};

TEST_F(LeftBehindTest, IsBoundedAndWhoReadsGetsAll) {
  limits_.max_left_behind = 10'000'000;
  start(limits_);
  std::vector<std::unique_ptr<Endpoint>> clients;
  for (int i = 0; i < 12; ++i) clients.push_back(asking_client(false));
  auto honest = asking_client(true);
  size_t most = 0;
  ASSERT_TRUE(wait([&] {
    most = std::max(most, gates_->bytes_left_behind());
    return honest->ended && gateway_->counters().channels_open == 0;
  }));
  EXPECT_TRUE(honest->holds_pattern(kAnswer));
  EXPECT_GT(most, 0u);
  EXPECT_LE(most, limits_.max_left_behind);
  EXPECT_GT(cut_off(), 0u);
  EXPECT_LT(cut_off(), 12u);
  clients[0]->resume();
  ASSERT_TRUE(wait([&] { return clients[0]->reset; }));
  clients[11]->resume();
  ASSERT_TRUE(wait([&] { return clients[11]->ended; }));
  EXPECT_TRUE(clients[11]->holds_pattern(kAnswer));
}

TEST_F(LeftBehindTest, WhoTakesNothingIsCutOffAndWhoTakesLittleIsNot) {
  limits_.left_behind_patience = 300ms;
  start(limits_);
  auto slow = asking_client(false);
  Timer sip(loop_.timers(), [&] {
    slow->on_readable();
    sip.arm(loop_.now() + 50ms);
  });
  sip.arm(loop_.now());
  auto stuck = asking_client(false);
  ASSERT_TRUE(wait([&] { return cut_off() > 0 && slow->in.size() > 2'000'000; }));
  EXPECT_EQ(cut_off(), 1u);
  stuck->resume();
  ASSERT_TRUE(wait([&] { return stuck->reset; }));
  slow->resume();
  ASSERT_TRUE(wait([&] { return slow->ended; }));
  EXPECT_TRUE(slow->holds_pattern(kAnswer));
}

TEST_F(RelayTest, ARefusedServiceClosesTheClientAtOnce) {
  start();
  service_.reset();
  auto c = client();
  ASSERT_TRUE(wait([&] { return c->ended || c->reset; }, 3s));
  EXPECT_EQ(1u, provider_->counters().refused_connect_failed);
  ASSERT_TRUE(wait([&] { return gates_->clients() == 0; }));
}

TEST_F(RelayTest, AClientThatVanishesClosesTheServicesSocket) {
  start();
  auto c = client();
  ASSERT_TRUE(wait([&] { return served_.size() == 1; }));
  c->socket->reset_on_close();
  c.reset();
  ASSERT_TRUE(wait([&] { return served_[0]->ended || served_[0]->reset; }));
  served_[0]->end();
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
  const uint16_t port = free_port();
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
  start({}, "::1");
  Endpoint c(loop_, loopback(tcp_port_, "::1"));
  c.send(as_bytes("six"));
  ASSERT_TRUE(wait([&] { return served_.size() == 1 && served_[0]->in.size() == 3; }));
}

/// Keeps what is said of each socket towards a service.
struct FlowCollector : tunnel::ServiceObserver {
  void on_service_flow(std::shared_ptr<tunnel::ServiceFlow> flow) override { flows.push_back(std::move(flow)); }
  std::vector<std::shared_ptr<tunnel::ServiceFlow>> flows;
};

class GateOnAllAddresses : public RelayTest, public testing::WithParamInterface<const char*> {};

TEST_P(GateOnAllAddresses, AUdpClientIsAnsweredFromTheAddressItAsked) {
  serve_udp_echo();
  start({}, GetParam());
  FlowCollector observer;
  links_->set_observer(&observer);
  for (const char* address : {"127.0.0.1", "127.0.0.2"}) {
    auto client = std::move(*io::udp_connect(loop_, loopback(udp_port_, address)));
    size_t answers = 0;
    client->set_handler([&](const io::SocketAddress&, ByteView) { ++answers; });
    client->send(as_bytes("x"));
    ASSERT_TRUE(wait([&] { return answers == 1; }, 5s)) << address;
    const auto said = tunnel::parse_fingerprint(observer.flows.back()->fingerprint);
    ASSERT_TRUE(said);
    EXPECT_EQ(address, said->gateway.ip);
    EXPECT_EQ(udp_port_, said->gateway.port);
  }
}

TEST_P(GateOnAllAddresses, OneUdpClientOfTwoAddressesHasTwoFlows) {
  serve_udp_echo();
  start({}, GetParam());
  auto client = std::move(*io::udp_bind(loop_, loopback(0)));
  std::vector<std::pair<std::string, std::string>> got;
  client->set_handler([&](const io::SocketAddress& from, ByteView data) { got.emplace_back(from.host(), as_text(data)); });
  for (const char* address : {"127.0.0.1", "127.0.0.2"}) {
    client->send_to(loopback(udp_port_, address), as_bytes(address));
    ASSERT_TRUE(wait([&] { return !got.empty() && got.back().second == address; }, 5s));
  }
  for (const auto& [from, text] : got) EXPECT_EQ(from, text);
  EXPECT_EQ(2u, gates_->clients());
}

INSTANTIATE_TEST_SUITE_P(Families, GateOnAllAddresses, testing::Values("0.0.0.0", "::"),
                         [](const auto& listen) { return std::string(listen.index == 0 ? "Ipv4" : "DualStack"); });

TEST_F(RelayTest, DatagramsOfEverySizeComeBackWhole) {
  serve_udp_echo();
  start();
  auto socket = io::udp_connect(loop_, loopback(udp_port_));
  ASSERT_TRUE(socket);
  std::vector<size_t> got;
  bool intact = true;
  (*socket)->set_handler([&](const io::SocketAddress&, ByteView data) {
    got.push_back(data.size());
    for (size_t i = 0; i < data.size(); ++i) intact = intact && data[i] == pattern(i + data.size());
  });
  std::vector<size_t> sizes;
  for (size_t size = 0; size <= 65507; size += size < 300 || size > 65200 || (size > 61400 && size < 61500) ? 1 : 97) sizes.push_back(size);
  Bytes data(65507);
  for (const size_t size : sizes) {
    for (size_t i = 0; i < size; ++i) data[i] = pattern(i + size);
    const size_t before = got.size();
    ASSERT_TRUE((*socket)->send(ByteView(data).first(size)));
    ASSERT_TRUE(wait([&] { return got.size() > before; }, 5s)) << size;
  }
  EXPECT_EQ(sizes, got);
  EXPECT_TRUE(intact);
  EXPECT_EQ(1u, gates_->clients());
  EXPECT_EQ(0u, gateway_->counters().datagrams_too_big);
}

TEST_F(RelayTest, AFirstDatagramIsAnsweredAfterTwoCrossingsInOrder) {
  delay_ = 100ms;
  serve_udp_echo();
  start();
  auto socket = io::udp_connect(loop_, loopback(udp_port_));
  ASSERT_TRUE(socket);
  std::vector<size_t> got;
  (*socket)->set_handler([&](const io::SocketAddress&, ByteView data) { got.push_back(data.size()); });
  const TimePoint before = loop_.now();
  const std::vector<size_t> sizes = {10, 20'000, 20'001, 11};  // the second large one has to wait, and so the last
  for (const size_t size : sizes) ASSERT_TRUE((*socket)->send(Bytes(size)));
  ASSERT_TRUE(wait([&] { return got.size() == 2; }));
  EXPECT_LT(loop_.now() - before, 390ms) << "four crossings would be 400";
  ASSERT_TRUE(wait([&] { return got.size() == sizes.size(); }));
  EXPECT_GT(loop_.now() - before, 390ms);
  EXPECT_EQ(got, sizes);
}

TEST_F(RelayTest, EachUdpClientHasItsFlowAndTheLongestIdleOneMakesRoom) {
  serve_udp_echo();
  tunnel::Limits limits;
  limits.max_udp_flows_per_gate = 3;
  start(limits);
  std::vector<std::unique_ptr<io::LocalUdp>> sockets;
  std::vector<int> answers(5);
  for (int i = 0; i < 5; ++i) {
    sockets.push_back(std::move(*io::udp_connect(loop_, loopback(udp_port_))));
    sockets.back()->set_handler(
        [&answers, i](const io::SocketAddress&, ByteView data) { answers[static_cast<size_t>(i)] += data.size() == 1 && data[0] == i; });
    const uint8_t name = static_cast<uint8_t>(i);
    sockets.back()->send({&name, 1});
    ASSERT_TRUE(wait([&] { return answers[static_cast<size_t>(i)] == 1; }));
  }
  EXPECT_EQ(3u, gates_->clients());
  EXPECT_EQ(2u, gateway_->counters().udp_flows_evicted);
  ASSERT_TRUE(wait([&] { return links_->links() == 3; }));
}

TEST_F(RelayTest, MoreUdpFlowsThanDescriptorsAreAllAnswered) {
  constexpr size_t kClients = 100;
  serve_udp_echo();
  start();
  size_t answers = 0;
  std::vector<std::unique_ptr<io::LocalUdp>> clients;
  const auto ask = [&](size_t i) {
    clients[i]->send(as_bytes("x"));
    return wait([&, before = answers] { return answers > before; }, 5s);
  };
  for (size_t i = 0; i < kClients; ++i) {
    clients.push_back(std::move(*io::udp_connect(loop_, loopback(udp_port_))));
    clients.back()->set_handler([&](const io::SocketAddress&, ByteView) { ++answers; });
  }
  ASSERT_TRUE(ask(0));  // with what the loop and the resolver open only once
  for (const bool numeric : {true, false}) {
    provider_->provider()->set_services({{udp_port_, numeric ? "127.0.0.1" : "localhost", udp_service_port_, Protocol::kUdp, {}, {}}});
    const uint64_t evicted = provider_->counters().udp_flows_evicted;
    const test::DescriptorLimit limit(40);
    for (size_t i = 0; i < kClients; ++i) ASSERT_TRUE(ask(i)) << i;
    EXPECT_GE(provider_->counters().udp_flows_evicted, evicted + 50);
    EXPECT_EQ(0u, provider_->counters().refused_connect_failed);
  }
}

/// The UDP service listens on 127.0.0.1 only; its name has several addresses.
class UdpServiceOfSeveralAddresses : public RelayTest {
 protected:
  void serve(const std::vector<const char*>& addresses) {
    auto bound = io::udp_bind(loop_, loopback(0));
    ASSERT_TRUE(bound);
    udp_service_ = std::move(*bound);
    udp_service_->set_handler([this](const io::SocketAddress& from, ByteView data) {
      heard_.push_back(to_bytes(data));
      udp_service_->send_to(from, data);
    });
    udp_service_port_ = udp_service_->local_address().port();
    start();
    links_->set_resolver([addresses](io::Loop& loop, const std::string&, uint16_t port, io::ResolveCallback found) {
      std::vector<io::SocketAddress> all;
      for (const char* address : addresses) all.push_back(loopback(port, address));
      loop.post([all, found] { found(all); });
    });
    client_ = std::move(*io::udp_connect(loop_, loopback(udp_port_)));
    client_->set_handler([this](const io::SocketAddress&, ByteView data) { answers_.push_back(data.size()); });
  }
  void expect_all_answered() {
    const std::vector<size_t> sizes = {3, 0, 2000, 1};
    for (const size_t size : sizes) client_->send(Bytes(size));
    ASSERT_TRUE(wait([&] { return answers_.size() >= sizes.size(); }, 5s));
    EXPECT_EQ(sizes, answers_);
    EXPECT_EQ(1u, links_->links());
    EXPECT_EQ(0u, provider_->counters().datagrams_not_sent);
  }

  std::unique_ptr<io::LocalUdp> client_;
  std::vector<Bytes> heard_;
  std::vector<size_t> answers_;
};

TEST_F(UdpServiceOfSeveralAddresses, IsFoundBehindOneThatRefuses) {
  serve({"::1", "127.0.0.2", "127.0.0.1"});
  expect_all_answered();
}

TEST_F(UdpServiceOfSeveralAddresses, IsFoundBehindOneWithoutARoute) {
  serve({"255.255.255.255", "127.0.0.1"});
  expect_all_answered();
}

TEST_F(UdpServiceOfSeveralAddresses, HearsWhoTheClientIsAtTheAddressThatAnswers) {
  serve({"::1", "127.0.0.1"});
  provider_->provider()->set_services({{udp_port_, "name", udp_service_port_, Protocol::kUdp, {}, {}, tunnel::ProxyHeader::kV2}});
  client_->send(as_bytes("x"));
  ASSERT_TRUE(wait([&] { return heard_.size() == 1; }, 5s));
  EXPECT_GT(heard_[0].size(), 16u) << "without the PROXY header";
  EXPECT_EQ('x', heard_[0].back());
}

TEST_F(UdpServiceOfSeveralAddresses, IsNotLeftOnceItHasAnswered) {
  serve({"127.0.0.1", "127.0.0.2"});
  FlowCollector observer;
  links_->set_observer(&observer);
  client_->send(as_bytes("x"));
  ASSERT_TRUE(wait([&] { return answers_.size() == 1; }, 5s));
  udp_service_.reset();
  const uint64_t before = provider_->counters().bytes_from_peers;
  client_->send(as_bytes("refused"));
  ASSERT_TRUE(wait([&] { return provider_->counters().bytes_from_peers > before; }));
  auto back = io::udp_bind(loop_, loopback(udp_service_port_));
  ASSERT_TRUE(back);
  bool heard = false;
  (*back)->set_handler([&](const io::SocketAddress&, ByteView data) { heard = as_text(data) == "again"; });
  ASSERT_TRUE(wait([&] {
    client_->send(as_bytes("again"));
    return heard;
  }));
  EXPECT_EQ(1u, observer.flows.size());
}

/// A gate with room for one flow, which one client has.
class FullUdpGate : public RelayTest {
 protected:
  void SetUp() override {
    RelayTest::SetUp();
    auto bound = io::udp_bind(loop_, loopback(0));
    ASSERT_TRUE(bound);
    udp_service_ = std::move(*bound);
    udp_service_->set_handler([this](const io::SocketAddress& from, ByteView data) {
      heard_.push_back(from);
      udp_service_->send_to(from, data);
    });
    udp_service_port_ = udp_service_->local_address().port();
    tunnel::Limits limits;
    limits.max_udp_flows_per_gate = 1;
    start(limits);
    first_ = std::move(*io::udp_connect(loop_, loopback(udp_port_)));
    second_ = std::move(*io::udp_connect(loop_, loopback(udp_port_)));
    first_->set_handler([this](const io::SocketAddress&, ByteView) { ++first_answers_; });
    second_->set_handler([this](const io::SocketAddress&, ByteView) { ++second_answers_; });
    first_->send(as_bytes("a"));
    ASSERT_TRUE(wait([&] { return first_answers_ == 1; }));
  }
  void second_takes_the_place() {
    second_->send(as_bytes("b"));
    ASSERT_TRUE(wait([&] { return gateway_->counters().udp_flows_evicted == 1; }));
  }

  std::unique_ptr<io::LocalUdp> first_;
  std::unique_ptr<io::LocalUdp> second_;
  std::vector<io::SocketAddress> heard_;
  int first_answers_ = 0;
  int second_answers_ = 0;
};

TEST_F(FullUdpGate, ADatagramForAFlowThatMadeRoomInTheSameTurnIsDropped) {
  udp_service_->send_to(heard_[0], as_bytes("late"));
  second_takes_the_place();
  ASSERT_TRUE(wait([&] { return second_answers_ == 1; }));
  ASSERT_TRUE(wait([&] { return links_->links() == 1; }));
  EXPECT_EQ(1u, gates_->clients());
  EXPECT_EQ(1, first_answers_);
}

TEST_F(FullUdpGate, APeerMayCloseAFlowThatMadeRoomInTheSameTurn) {
  loop_.post([&] { provider_end_->write(tunnel::make_frame({16, 17}, tunnel::Action::kClose, 0)); });  // read after the sockets of a turn
  second_takes_the_place();
  first_->send(as_bytes("a"));
  ASSERT_TRUE(wait([&] { return first_answers_ == 2; }));
  EXPECT_EQ(1u, gates_->clients());
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

// 10 KB of burst pass, 10 KB more wait, and what comes on top ends the flow.
constexpr const char* kSmallBurst = R"({"defaults":{"bandwidthLimit":{"mbps":0.8,"burstMbps":0.08}}})";

TEST_F(RelayTest, AUdpFlowThatOverfillsItsBurstOnTheWayUpIsDropped) {
  std::unique_ptr<io::LocalUdp> service = std::move(*io::udp_bind(loop_, loopback(0)));
  size_t arrived = 0;
  service->set_handler([&](const io::SocketAddress&, ByteView) { ++arrived; });
  udp_service_port_ = service->local_address().port();
  start();
  set_policy(kSmallBurst);
  auto client = std::move(*io::udp_connect(loop_, loopback(udp_port_)));
  client->send(Bytes(1000));
  ASSERT_TRUE(wait([&] { return arrived == 1; }));
  for (int i = 0; i < 24; ++i) client->send(Bytes(1000));
  ASSERT_TRUE(wait([&] { return gateway_->counters().closed_shaping > 0; }));
  ASSERT_TRUE(wait([&] { return arrived >= 10; }));
  EXPECT_LT(arrived, 20u);
}

TEST_F(RelayTest, AUdpFlowThatOverfillsItsBurstOnTheWayDownIsDropped) {
  std::unique_ptr<io::LocalUdp> service = std::move(*io::udp_bind(loop_, loopback(0)));
  service->set_handler([&](const io::SocketAddress& from, ByteView) {
    for (int i = 0; i < 24; ++i) service->send_to(from, Bytes(1000));
  });
  udp_service_port_ = service->local_address().port();
  start();
  set_policy(kSmallBurst);
  auto client = std::move(*io::udp_connect(loop_, loopback(udp_port_)));
  size_t answers = 0;
  client->set_handler([&](const io::SocketAddress&, ByteView) { ++answers; });
  client->send(Bytes(1000));
  ASSERT_TRUE(wait([&] { return gateway_->counters().closed_shaping == 1; }));
  ASSERT_TRUE(wait([&] { return links_->links() == 0; }));
  ASSERT_TRUE(wait([&] { return answers >= 8; }));
  EXPECT_LT(answers, 20u);
}

TEST_F(RelayTest, AllUdpFlowsOfALimitedClientShareOneQueue) {
  std::unique_ptr<io::LocalUdp> service = std::move(*io::udp_bind(loop_, loopback(0)));
  size_t arrived = 0;
  service->set_handler([&](const io::SocketAddress&, ByteView) { ++arrived; });
  udp_service_port_ = service->local_address().port();
  start();
  set_policy(kSmallBurst);
  std::vector<std::unique_ptr<io::LocalUdp>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::move(*io::udp_connect(loop_, loopback(udp_port_))));
    for (int k = 0; k < 8; ++k) clients.back()->send(Bytes(1000));
  }
  ASSERT_TRUE(wait([&] { return gateway_->counters().closed_shaping > 0; })) << "8 KB fit a queue, 160 KB do not";
  ASSERT_TRUE(wait([&] { return arrived >= 10; }));
}

TEST_F(RelayTest, WhatWaitsOfALimitedClientIsBoundedOverItsFlows) {
  tunnel::Counters counters;
  const auto bucket = std::make_shared<tunnel::Bucket>(loop_, counters, tunnel::BandwidthLimit{.mbps = 0.001, .burst_mbps = 0.08});
  const auto other = std::make_shared<tunnel::Bucket>(loop_, counters, tunnel::BandwidthLimit{.mbps = 0.001, .burst_mbps = 0.08});
  std::vector<std::unique_ptr<ShapedDatagrams>> flows;
  size_t passed = 0;
  size_t refused = 0;
  for (int i = 0; i < 20; ++i) {
    flows.push_back(std::make_unique<ShapedDatagrams>([&](ByteView) { ++passed; }));
    flows.back()->use(bucket);
    for (int k = 0; k < 24; ++k) refused += !flows.back()->push(Bytes(1000));
    EXPECT_LE(bucket->queued_bytes(), bucket->capacity() + flows.size() * 1000);
  }
  EXPECT_EQ(passed, 10u);
  EXPECT_EQ(bucket->queued_bytes(), (20u * 24 - passed - refused) * 1000);
  EXPECT_FALSE(flows[19]->push(Bytes(1000)));
  flows[0]->use(other);
  EXPECT_EQ(passed, 20u);
  flows[1]->use(other);
  EXPECT_EQ(other->queued_bytes(), 1000u);
  EXPECT_EQ(bucket->queued_bytes(), 18'000u);
  flows[1]->use(nullptr);
  EXPECT_EQ(passed, 21u);
  EXPECT_EQ(other->queued_bytes(), 0u);
  flows.clear();
  EXPECT_EQ(bucket->queued_bytes(), 0u);
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
TEST_F(RelayTest, WhatAProviderThatStopsCannotDeliverIsReset) {
  start();
  auto c = client();
  ASSERT_TRUE(wait([&] { return served_.size() == 1; }));
  served_[0]->send_pattern(1000);
  ASSERT_TRUE(wait([&] { return c->in.size() == 1000; }));
  provider_->shutdown(50ms, [] {});
  ASSERT_TRUE(wait([&] { return c->reset || c->ended; }));
  EXPECT_TRUE(c->reset);
}

TEST_F(RelayTest, WhatAGatewayThatStopsCannotDeliverIsReset) {
  start();
  auto c = client();
  ASSERT_TRUE(wait([&] { return served_.size() == 1; }));
  served_[0]->send_pattern(1000);
  ASSERT_TRUE(wait([&] { return c->in.size() == 1000; }));
  gateway_->shutdown(50ms, [] {});
  ASSERT_TRUE(wait([&] { return c->reset || c->ended; }));
  EXPECT_TRUE(c->reset);
}

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
