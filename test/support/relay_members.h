// For tests: a gateway and a provider joined by a pipe, with real sockets of clients on one side and of services on the other.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "crypto/crypto.h"
#include "io/local_udp.h"
#include "io/tcp.h"
#include "relay/gate_set.h"
#include "relay/service_links.h"
#include "support/free_port.h"
#include "support/tunnel_pipe.h"
#include "tunnel/node.h"

namespace hg::relay::test {

using io::IoResult;
using tunnel::Protocol;

inline const tunnel::RouterKeys& router() {
  static const tunnel::RouterKeys keys = [] {
    crypto::init();
    return tunnel::derive_router_keys(Seed{1, 2, 3});
  }();
  return keys;
}

inline PublicKey key(uint8_t fill) {
  PublicKey k;
  k.fill(fill);
  return k;
}

inline uint8_t pattern(size_t i) { return static_cast<uint8_t>(i * 131 + (i >> 11)); }

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

  /// Gateway and provider of one TCP and one UDP service, joined by a pipe; returns when the gates listen.
  void start(tunnel::Limits limits = {}, const char* listen = "127.0.0.1", size_t gates = 2) {
    limits_ = limits;
    tcp_port_ = hg::test::free_port(loop_);
    udp_port_ = hg::test::free_port(loop_);
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

/// A client of a gate that is none: it wants nothing.
struct NoSocket final : tunnel::ChannelHandler {
  void on_channel_data(ByteView) override {}
  void on_channel_end() override {}
  void on_channel_sendable() override {}
  void on_channel_closed(tunnel::CloseReason) override {}
};

/// Keeps what is said of each socket towards a service.
struct FlowCollector : tunnel::ServiceObserver {
  void on_service_flow(std::shared_ptr<tunnel::ServiceFlow> flow) override { flows.push_back(std::move(flow)); }
  std::vector<std::shared_ptr<tunnel::ServiceFlow>> flows;
};

}  // namespace hg::relay::test
