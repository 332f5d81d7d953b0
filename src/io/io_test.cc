#include <gtest/gtest.h>
#include <nss.h>

#include <future>

#include "io/local_udp.h"
#include "io/loop.h"
#include "io/network_watch.h"
#include "io/resolver.h"
#include "io/tcp.h"
#include "support/descriptor_limit.h"
#include "support/free_port.h"
#include "support/ipv6.h"
#include "support/log_lines.h"
#include "support/own_network.h"

namespace hg::io {
namespace {

class Io : public ::testing::Test {
 protected:
  Io() : rng(1), loop(rng) {}
  SeededRng rng;
  Loop loop;
};

struct UdpCollector : UdpReceiver {
  void on_datagram(UdpSocket&, const Endpoint& from, ByteView data) override { got.emplace_back(from, to_bytes(data)); }
  void on_drained(UdpSocket&) override { drained++; }
  std::vector<std::pair<Endpoint, Bytes>> got;
  int drained = 0;
};

TEST_F(Io, TimersFireInOrderAndCanBeCancelled) {
  std::string order;
  Timer a(loop.timers(), [&] { order += 'a'; });
  Timer b(loop.timers(), [&] { order += 'b'; });
  Timer c(loop.timers(), [&] { order += 'c'; });
  a.arm(loop.now() + 20ms);
  b.arm(loop.now() + 5ms);
  c.arm(loop.now() + 10ms);
  c.disarm();
  EXPECT_TRUE(loop.run_until([&] { return order.size() == 2; }, 5s));
  EXPECT_EQ(order, "ba");
}

TEST_F(Io, SegmentsArriveAsDatagrams) {
  auto sender = *loop.network().open_udp(Endpoint::loopback(0));
  auto receiver = *loop.network().open_udp(Endpoint::loopback(0));
  UdpCollector collector;
  receiver->set_receiver(&collector);
  Bytes header(20, 1);
  Bytes payload(1000 * 10 - 20 - 300, 2);
  const ByteView slices[] = {header, payload};
  ASSERT_EQ(sender->send_segments(receiver->local_endpoint(), slices, 1000), SendResult::kSent);
  ASSERT_TRUE(loop.run_until([&] { return collector.got.size() == 10; }, 5s));
  EXPECT_EQ(collector.got[0].second.size(), 1000u);
  EXPECT_EQ(collector.got[9].second.size(), 700u);
  EXPECT_EQ(collector.got[0].second[19], 1);
  EXPECT_EQ(collector.got[0].second[20], 2);
  EXPECT_EQ(collector.got[0].first, sender->local_endpoint());
  EXPECT_GE(collector.drained, 1);
}

TEST_F(Io, WhatTheKernelWillNotCutGoesOutOneByOne) {
  auto sender = *loop.network().open_udp(Endpoint::loopback(0));
  auto receiver = *loop.network().open_udp(Endpoint::loopback(0));
  UdpCollector collector;
  receiver->set_receiver(&collector);
  const Bytes payload(50 * 300, 3);  // 300 segments: more than UDP_MAX_SEGMENTS of any kernel, which answers EINVAL
  const ByteView slice(payload);
  ASSERT_EQ(sender->send_segments(receiver->local_endpoint(), {&slice, 1}, 50), SendResult::kSent);
  ASSERT_TRUE(loop.run_until([&] { return collector.got.size() == 300; }, 5s));
  for (const auto& [from, data] : collector.got) EXPECT_EQ(data.size(), 50u);
}

TEST_F(Io, ATooLongDatagramIsSaidToBe) {
  auto sender = *loop.network().open_udp(Endpoint::loopback(0));
  EXPECT_EQ(sender->send(Endpoint::loopback(9), Bytes(65508)), SendResult::kTooBig);
}

TEST_F(Io, UdpBindRefusesAPortInUse) {
  auto first = *loop.network().open_udp(Endpoint::loopback(0));
  const auto second = loop.network().open_udp(first->local_endpoint());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, "EADDRINUSE");
}

struct EchoSide : TcpHandler {
  void on_readable() override {
    uint8_t area[4096];
    for (;;) {
      const IoResult r = socket->read(area);
      if (r.kind == IoResult::Kind::kBytes) {
        got += as_text({area, r.bytes});
        continue;
      }
      if (r.kind == IoResult::Kind::kEnd) {
        ended = true;
        socket->watch_read(false);
      }
      return;
    }
  }
  void on_writable() override { writable++; }
  std::unique_ptr<TcpSocket> socket;
  std::string got;
  bool ended = false;
  int writable = 0;
};

TEST_F(Io, TcpHalfCloseLeavesTheOtherDirectionOpen) {
  EchoSide server;
  auto listener = *tcp_listen(loop, *SocketAddress::parse("127.0.0.1", 0), [&](std::unique_ptr<TcpSocket> socket) {
    server.socket = std::move(socket);
    server.socket->set_handler(&server);
    server.socket->watch_read(true);
  });
  EchoSide client;
  auto connect = tcp_connect(loop, "127.0.0.1", listener->local_address().port(), 5s, [&](Expected<std::unique_ptr<TcpSocket>> result) {
    ASSERT_TRUE(result.ok());
    client.socket = std::move(*result);
    client.socket->set_handler(&client);
    client.socket->watch_read(true);
    const ByteView hello = as_bytes("hello");
    client.socket->write({&hello, 1});
    client.socket->shutdown_write();
  });
  ASSERT_TRUE(loop.run_until([&] { return server.ended; }, 5s));
  EXPECT_EQ(server.got, "hello");
  const ByteView reply = as_bytes("late reply");
  server.socket->write({&reply, 1});
  server.socket->shutdown_write();
  ASSERT_TRUE(loop.run_until([&] { return client.ended; }, 5s));
  EXPECT_EQ(client.got, "late reply");
}

TEST_F(Io, TcpConnectReportsRefusalByName) {
  std::string code;
  const uint16_t nobody = hg::test::free_port(loop);
  auto connect =
      tcp_connect(loop, "127.0.0.1", nobody, 5s, [&](Expected<std::unique_ptr<TcpSocket>> result) { code = result.error().code; });
  ASSERT_TRUE(loop.run_until([&] { return !code.empty(); }, 5s));
  EXPECT_EQ(code, "ECONNREFUSED");
}

// The kernel has no other port to give than the one that is asked for.
TEST_F(Io, AServiceThatIsDownIsNotMistakenForItself) {
  const auto nobody = *SocketAddress::parse("127.0.0.1", 45000);
  const bool allowed = hg::test::in_own_network("45000 45001", [&] {
    Loop own(rng);
    for (int i = 0; i < 10; ++i) {
      std::string code;
      const auto done = [&](Expected<std::unique_ptr<TcpSocket>> result) { code = result ? "connected" : result.error().code; };
      const auto connect = tcp_connect(own, nobody, 5s, done);
      ASSERT_TRUE(own.run_until([&] { return !code.empty(); }, 5s));
      EXPECT_EQ("ECONNREFUSED", code);
      EXPECT_TRUE(tcp_listen(own, nobody, [](auto) {})) << "the port is free";
      const auto flow = udp_connect(own, nobody);
      ASSERT_TRUE(flow);
      EXPECT_EQ(45001, (*flow)->local_address().port());
      EXPECT_TRUE(udp_bind(own, nobody));
    }
  });
  if (!allowed) GTEST_SKIP() << "no network namespaces here";
}

TEST_F(Io, AnUrgentByteStaysInTheStream) {
  EchoSide server;
  auto listener = *tcp_listen(loop, *SocketAddress::parse("127.0.0.1", 0), [&](std::unique_ptr<TcpSocket> socket) {
    server.socket = std::move(socket);
    server.socket->set_handler(&server);
    server.socket->watch_read(true);
  });
  const SocketAddress at = listener->local_address();
  const FileDescriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(0, ::connect(client.get(), at.data(), at.size()));
  ASSERT_EQ(3, ::send(client.get(), "abc", 3, 0));
  ASSERT_EQ(1, ::send(client.get(), "!", 1, MSG_OOB));
  ASSERT_EQ(3, ::send(client.get(), "def", 3, 0));
  ASSERT_EQ(0, ::shutdown(client.get(), SHUT_WR));
  ASSERT_TRUE(loop.run_until([&] { return server.ended; }, 5s));
  EXPECT_EQ("abc!def", server.got);
}

/// A Unix listener whose backlog of two is full.
class FullUnixListener : public Io {
 protected:
  void SetUp() override {
    ASSERT_NE(nullptr, ::mkdtemp(folder_));
    address_ = *SocketAddress::unix_path(std::string(folder_) + "/socket");
    ASSERT_EQ(0, ::bind(listener_.get(), address_.data(), address_.size()));
    ASSERT_EQ(0, ::listen(listener_.get(), 1));
    for (const FileDescriptor& waiting : waiting_) ASSERT_EQ(0, ::connect(waiting.get(), address_.data(), address_.size()));
  }
  void TearDown() override {
    ::unlink(address_.host().c_str());
    ::rmdir(folder_);
  }

  char folder_[32] = "/tmp/hypergate-io-XXXXXX";
  SocketAddress address_;
  FileDescriptor listener_{::socket(AF_UNIX, SOCK_STREAM, 0)};
  FileDescriptor waiting_[2] = {FileDescriptor(::socket(AF_UNIX, SOCK_STREAM, 0)), FileDescriptor(::socket(AF_UNIX, SOCK_STREAM, 0))};
  std::string outcome_;
  ConnectCallback note_ = [this](Expected<std::unique_ptr<TcpSocket>> result) {
    outcome_ = result.ok() ? "connected" : result.error().code;
  };
};

TEST_F(FullUnixListener, IsWaitedFor) {
  auto connect = tcp_connect(loop, address_, 5s, note_);
  Timer accept(loop.timers(), [&] { FileDescriptor(::accept(listener_.get(), nullptr, nullptr)); });
  accept.arm(loop.now() + 200ms);
  ASSERT_TRUE(loop.run_until([&] { return !outcome_.empty(); }, 5s));
  EXPECT_EQ("connected", outcome_);
}

TEST_F(FullUnixListener, IsGivenUpAfterTheTimeOut) {
  auto connect = tcp_connect(loop, address_, 100ms, note_);
  ASSERT_TRUE(loop.run_until([&] { return !outcome_.empty(); }, 5s));
  EXPECT_EQ("ETIMEDOUT", outcome_);
}

TEST_F(FullUnixListener, MayBeLeftWhileItIsWaitedFor) {
  auto connect = tcp_connect(loop, address_, 5s, note_);
  connect.reset();
  loop.run_until([] { return false; }, 50ms);
  EXPECT_EQ("", outcome_);
}

TEST_F(Io, AListenerOutOfDescriptorsSaysSoOnceAndGoesOnLater) {
  test::LogLines lines;
  size_t accepted = 0;
  auto listener = *tcp_listen(loop, *SocketAddress::parse("127.0.0.1", 0), [&](auto) { ++accepted; });
  const SocketAddress address = listener->local_address();
  const FileDescriptor client(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(0, ::connect(client.get(), address.data(), address.size()));
  {
    const test::DescriptorLimit limit(0);
    loop.run_until([] { return false; }, 250ms);  // three attempts
    EXPECT_EQ(0u, accepted);
    ASSERT_EQ(1u, lines.warnings.size());
    EXPECT_NE(std::string::npos, lines.warnings[0].find(address.to_string())) << lines.warnings[0];
  }
  EXPECT_TRUE(loop.run_until([&] { return accepted == 1; }, 5s));
}

TEST_F(Io, ResolvesLocalhostOffTheLoop) {
  bool done = false;
  resolve_host(loop, "localhost", 80, [&](Expected<std::vector<SocketAddress>> found) {
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(found->front().port(), 80);
    done = true;
  });
  EXPECT_TRUE(loop.run_until([&] { return done; }, 10s));
}

TEST_F(Io, WhoAsksForTheSameNameSharesTheAnswer) {
  std::vector<uint16_t> ports;
  for (const uint16_t port : {80, 81, 82})
    loop.resolver().resolve("localhost", port, [&ports](Expected<std::vector<SocketAddress>> found) {
      ASSERT_TRUE(found) << found.error().message;
      ports.push_back(found->front().port());
    });
  EXPECT_TRUE(loop.run_until([&] { return ports.size() == 3; }, 30s));
  EXPECT_EQ(ports, (std::vector<uint16_t>{80, 81, 82}));
}

TEST_F(Io, ANameWithoutDescriptorsIsNotUnknown) {
  std::string code;
  const auto look_up = [&](const char* hosts) {
    __nss_configure_lookup("hosts", hosts);
    code.clear();
    loop.resolver().resolve("localhost", 80, [&](auto found) { code = found ? "found" : found.error().code; });
    EXPECT_TRUE(loop.run_until([&] { return !code.empty(); }, 30s));
    return code;
  };
  EXPECT_EQ("found", look_up("files absent dns"));  // opens what is opened only once
  for (const char* hosts : {"files", "files dns", "files absent dns"}) {
    const test::DescriptorLimit limit(0);
    EXPECT_EQ("EMFILE", look_up(hosts)) << hosts;
  }
  EXPECT_EQ("found", look_up("files dns"));
}

TEST_F(Io, NobodyWaitsForACallThatBlocks) {
  const auto release = std::make_shared<std::promise<void>>();
  const std::shared_future<void> released = release->get_future().share();
  const auto began = std::make_shared<std::promise<void>>();
  bool done = false;
  {
    Loop short_lived(rng);
    for (int i = 0; i < 5; ++i)  // more than there are threads
      short_lived.run_blocking(
          [released, began, i] {
            if (i == 0) began->set_value();
            released.wait();
          },
          [&done] { done = true; });
    began->get_future().wait();
  }
  release->set_value();
  EXPECT_FALSE(loop.run_until([&] { return done; }, 50ms));
}

TEST_F(Io, LocalUdpCarriesEverySizeUpToTheLimit) {
  auto server = *udp_bind(loop, *SocketAddress::parse("127.0.0.1", 0));
  auto client = *udp_connect(loop, server->local_address());
  size_t expected = 0;
  bool got = false;
  server->set_handler([&](const SocketAddress&, ByteView data) {
    EXPECT_EQ(data.size(), expected);
    got = true;
  });
  for (size_t size : {size_t{0}, size_t{1}, size_t{1472}, size_t{9000}, size_t{65507}}) {
    expected = size;
    got = false;
    ASSERT_TRUE(client->send(Bytes(size, 0x61)));
    ASSERT_TRUE(loop.run_until([&] { return got; }, 5s));
  }
  EXPECT_FALSE(client->send(Bytes(65508)));
}

TEST_F(Io, ASocketOnAllAddressesAnswersFromTheOneThatWasAsked) {
  const std::pair<const char*, const char*> cases[] = {{"0.0.0.0", "127.0.0.2"}, {"::", "127.0.0.2"}, {"::", "::1"}};
  for (const auto& [bound, asked] : cases) {
    if (std::string_view(bound) == "::" && !test::has_ipv6()) GTEST_SKIP() << "this machine has no IPv6";
    auto server = *udp_bind(loop, *SocketAddress::parse(bound, 0));
    const uint16_t port = server->local_address().port();
    auto client = *udp_connect(loop, *SocketAddress::parse(asked, port));
    bool answered = false;
    server->set_handler([&](const SocketAddress& from, ByteView data) {
      EXPECT_EQ(server->arrived_at().canonical_host(), asked);
      EXPECT_EQ(server->arrived_at().port(), port);
      EXPECT_TRUE(server->send_from(server->arrived_at(), from, data));
    });
    client->set_handler([&](const SocketAddress&, ByteView) { answered = true; });
    ASSERT_TRUE(client->send(as_bytes("x")));
    ASSERT_TRUE(loop.run_until([&] { return answered; }, 5s)) << bound << " asked at " << asked;
  }
}

TEST_F(Io, ASocketOnOneAddressKnowsWhereItWasAsked) {
  auto server = *udp_bind(loop, *SocketAddress::parse("127.0.0.2", 0));
  auto client = *udp_connect(loop, server->local_address());
  bool answered = false;
  server->set_handler([&](const SocketAddress& from, ByteView data) {
    EXPECT_EQ(server->arrived_at(), server->local_address());
    EXPECT_TRUE(server->send_from(server->arrived_at(), from, data));
  });
  client->set_handler([&](const SocketAddress&, ByteView) { answered = true; });
  ASSERT_TRUE(client->send(as_bytes("x")));
  EXPECT_TRUE(loop.run_until([&] { return answered; }, 5s));
}

TEST(SocketAddressTest, ParsesAndPrints) {
  EXPECT_EQ(SocketAddress::parse("127.0.0.1", 80)->to_string(), "127.0.0.1:80");
  EXPECT_EQ(SocketAddress::parse("::1", 80)->to_string(), "[::1]:80");
  EXPECT_EQ(SocketAddress::parse("[::1]", 80)->host(), "::1");
  EXPECT_EQ(SocketAddress::parse("::ffff:1.2.3.4", 80)->canonical_host(), "1.2.3.4");
  EXPECT_FALSE(SocketAddress::parse("localhost", 80).has_value());
  EXPECT_FALSE(SocketAddress::parse("1.2.3", 80).has_value());
  EXPECT_FALSE(SocketAddress::unix_path(std::string(108, 'x')).has_value());
  EXPECT_EQ(SocketAddress::unix_path("/run/x.sock")->to_string(), "/run/x.sock");
}

TEST(Sleep, IsToldFromThePassingOfTime) {
  SleepDetector detector;
  Duration monotonic = 100s, boot = 500s;
  const auto check = [&](Duration passed, Duration passed_boot) {
    monotonic += passed;
    boot += passed_boot;
    return detector.check(monotonic, boot, 1s);
  };
  EXPECT_FALSE(check(1s, 1s)) << "the first says nothing";
  EXPECT_FALSE(check(1s, 1s));
  EXPECT_FALSE(check(1200ms, 1200ms));
  EXPECT_TRUE(check(1s, 3600s)) << "suspended";
  EXPECT_FALSE(check(1s, 1s));
  EXPECT_FALSE(check(3s, 3s)) << "a busy machine";
  EXPECT_TRUE(check(20s, 20s)) << "the process was stopped";
  EXPECT_FALSE(check(1s, 1s));
}

TEST_F(Io, AWatchedNetworkThatStaysTheSameIsQuiet) {
  int changes = 0, wakeups = 0;
  NetworkWatch watch(
      loop, [&] { changes++; }, [&] { wakeups++; });
  EXPECT_EQ(NetworkWatch::fingerprint(), NetworkWatch::fingerprint());
  loop.run_until([] { return false; }, 50ms);
  EXPECT_EQ(changes + wakeups, 0);
}

TEST_F(Io, WithoutADescriptorToAskWithNoNetworkHasChanged) {
  const std::vector<uint32_t> before = loop.network().interface_addresses();
  if (before.empty()) GTEST_SKIP() << "this machine has the loopback interface only";
  const test::DescriptorLimit limit(0);
  EXPECT_EQ(loop.network().interface_addresses(), before);
  EXPECT_FALSE(NetworkWatch::fingerprint());
}

}  // namespace
}  // namespace hg::io
