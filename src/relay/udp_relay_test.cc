#include "support/descriptor_limit.h"
#include "support/log_lines.h"
#include "support/relay_members.h"

namespace hg::relay {
namespace {

using namespace test;

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

TEST_F(RelayTest, NewUdpFlowsAreDroppedWhileNoMoreCanBeAskedForAndNoOldOneMakesRoom) {
  constexpr size_t kClients = 40;
  serve_udp_echo();
  tunnel::Limits limits;
  limits.max_opening_backlog = 4096;
  limits.max_udp_flows_per_gate = 20;
  start(limits);
  size_t answers = 0;
  std::vector<std::unique_ptr<io::LocalUdp>> clients;
  const auto come = [&] {
    clients.push_back(std::move(*io::udp_connect(loop_, loopback(udp_port_))));
    clients.back()->set_handler([&](const io::SocketAddress&, ByteView) { ++answers; });
    clients.back()->send(as_bytes("x"));
  };
  come();
  ASSERT_TRUE(wait([&] { return answers == 1; }));
  auto upload = client();
  ASSERT_TRUE(wait([&] { return served_.size() == 1; }));
  provider_end_->pause_reading();
  upload->send_pattern(2'000'000);
  ASSERT_TRUE(wait([&] { return gateway_end_->queued_bytes() >= 262'144; }));
  for (size_t i = 0; i < kClients; ++i) come();
  ASSERT_TRUE(wait([&] { return gates_->clients() - 2 + gateway_->counters().datagrams_backlog == kClients; }));
  EXPECT_LE(gates_->clients(), 2u + 4096 / 250);
  EXPECT_EQ(gateway_->counters().udp_flows_evicted, 0u);
  provider_end_->resume_reading();
  clients.front()->send(as_bytes("x"));
  ASSERT_TRUE(wait([&] { return answers == gates_->clients(); })) << "those that were taken, and the first one twice";
  come();
  EXPECT_TRUE(wait([&] { return answers == gates_->clients(); }));
}

TEST_F(RelayTest, MoreUdpFlowsThanDescriptorsAreAllAnswered) {
  constexpr size_t kClients = 100;
  serve_udp_echo();
  start();
  const hg::test::LogLines lines;
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
    const hg::test::DescriptorLimit limit(40);
    for (size_t i = 0; i < kClients; ++i) ASSERT_TRUE(ask(i)) << i << testing::PrintToString(lines.warnings);
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

TEST_F(UdpServiceOfSeveralAddresses, HearsWhoTheClientIsBehindADatagramThatDoesNotFitWithIt) {
  serve({"127.0.0.1"});
  provider_->provider()->set_services({{udp_port_, "name", udp_service_port_, Protocol::kUdp, {}, {}, tunnel::ProxyHeader::kV2}});
  client_->send(Bytes(65507));
  ASSERT_TRUE(wait([&] { return provider_->counters().datagrams_not_sent == 1; }));
  client_->send(as_bytes("x"));
  ASSERT_TRUE(wait([&] { return heard_.size() == 1; }));
  EXPECT_GT(heard_[0].size(), 16u) << "without the PROXY header";
}

TEST_F(UdpServiceOfSeveralAddresses, HearsWhoTheClientIsWhenItComesBack) {
  serve({"127.0.0.1"});
  provider_->provider()->set_services({{udp_port_, "name", udp_service_port_, Protocol::kUdp, {}, {}, tunnel::ProxyHeader::kV2}});
  client_->send(as_bytes("x"));
  ASSERT_TRUE(wait([&] { return heard_.size() == 1; }, 5s));
  EXPECT_GT(heard_[0].size(), 16u);
  const auto health = [this] { return provider_->provider()->health(provider_->provider()->services().back()); };
  for (int times = 0; times < 2; ++times) {
    udp_service_.reset();
    client_->send(as_bytes("refused"));
    ASSERT_TRUE(wait([&] { return health().refused == static_cast<uint64_t>(times) + 1; }));
    udp_service_ = std::move(*io::udp_bind(loop_, loopback(udp_service_port_)));
    heard_.clear();
    udp_service_->set_handler([this](const io::SocketAddress&, ByteView data) { heard_.push_back(to_bytes(data)); });
    client_->send(as_bytes("y"));
    ASSERT_TRUE(wait([&] { return heard_.size() == 1; }));
    EXPECT_GT(heard_[0].size(), 16u) << "without the PROXY header";
    client_->send(as_bytes("z"));
    ASSERT_TRUE(wait([&] { return heard_.size() == 2; }));
    EXPECT_EQ("z", as_text(heard_[1])) << "it knows";
  }
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

TEST_F(UdpServiceOfSeveralAddresses, IsWellOnceItAnswersAndNotWhenItRefuses) {
  serve({"127.0.0.2", "127.0.0.1"});
  const auto health = [this] { return provider_->provider()->health(provider_->provider()->services().back()); };
  client_->send(as_bytes("x"));
  ASSERT_TRUE(wait([&] { return answers_.size() == 1; }, 5s));
  EXPECT_EQ(1u, health().connected);
  EXPECT_EQ(0u, health().refused) << "an address that refuses is not the service";
  udp_service_.reset();
  client_->send(as_bytes("y"));
  ASSERT_TRUE(wait([&] { return health().refused == 1; }, 5s));
  auto back = io::udp_bind(loop_, loopback(udp_service_port_));
  ASSERT_TRUE(back);
  (*back)->set_handler([&](const io::SocketAddress& from, ByteView data) { (*back)->send_to(from, data); });
  client_->send(as_bytes("z"));
  ASSERT_TRUE(wait([&] { return health().connected == 2; }, 5s));
  client_->send(as_bytes("z"));
  ASSERT_TRUE(wait([&] { return answers_.size() == 3; }, 5s));
  EXPECT_EQ(2u, health().connected) << "not for each datagram";
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

}  // namespace
}  // namespace hg::relay
