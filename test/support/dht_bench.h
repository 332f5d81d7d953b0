// For tests: one node at the vectors' address, and bare sockets that talk to it.
#pragma once

#include <gtest/gtest.h>

#include "crypto/crypto.h"
#include "dht/node.h"
#include "dht/operations.h"
#include "sim/world.h"
#include "wire/rpc.h"

namespace hg::dht {

/// A host's Runtime with a scripted generator: table id, then both token secrets, then counting up.
class ScriptedRuntime final : public Runtime, public Rng {
 public:
  explicit ScriptedRuntime(sim::Host& host) : host_(host) {}
  TimePoint now() const override { return host_.now(); }
  int64_t wall_ms() const override { return host_.wall_ms(); }
  TimerQueue& timers() override { return host_.timers(); }
  Rng& rng() override { return *this; }
  UdpNetwork& network() override { return host_; }
  void post(std::function<void()> task) override { host_.post(std::move(task)); }
  void fill(MutableBytes out) override {
    const bool whole = out.size() == 32;
    if (whole) ++calls_;
    std::fill(out.begin(), out.end(), whole && calls_ == 2 ? 0x07 : whole && calls_ == 3 ? 0x08 : next_++);
  }

 private:
  sim::Host& host_;
  int calls_ = 0;
  uint8_t next_ = 0x55;
};

/// A socket that keeps what it gets.
struct Wire : UdpReceiver {
  Wire(sim::Host& host, uint16_t port) : socket(*host.open_udp({0, port})) { socket->set_receiver(this); }
  void on_datagram(UdpSocket&, const Endpoint& from, ByteView data) override { got.emplace_back(from, to_bytes(data)); }
  void on_drained(UdpSocket&) override {}
  std::unique_ptr<UdpSocket> socket;
  std::vector<std::pair<Endpoint, Bytes>> got;
};

/// A node at the vectors' address 9.8.7.6:49737.
struct Bench {
  explicit Bench(bool ephemeral, bool firewalled = false, size_t max_records = 65536) {
    crypto::init();
    NodeOptions options;
    options.bootstrap = {};
    options.host = host.address();
    options.firewalled = firewalled;
    options.max_records = max_records;
    options.ephemeral = ephemeral ? NodeOptions::Ephemeral::kAlways : NodeOptions::Ephemeral::kNever;
    node = std::make_unique<Node>(runtime, options);
    EXPECT_TRUE(node->start());
    EXPECT_TRUE(world.run_until([&] { return node->ready(); }, 1s));
  }
  /// The table of the vectors: three nodes that enter by a request with their id.
  void fill_table() {
    for (int i = 1; i <= 3; ++i) {
      Wire wire(world.add_host("10.0.0." + std::to_string(i)), static_cast<uint16_t>(1000 + i));
      wire::RpcRequest hello;
      hello.to = server();
      hello.id = node_id(wire.socket->local_endpoint());
      hello.internal = true;
      wire.socket->send(server(), wire::encode(hello));
      world.run_for(10ms);
    }
    EXPECT_EQ(node->table_size(), 3u);
  }
  Endpoint server() { return {host.address(), node->server_port()}; }
  Endpoint client() { return {host.address(), node->client_socket().local_endpoint().port}; }
  /// Sends one request from `from` and returns the one answer, decoded.
  std::optional<wire::RpcResponse> ask(Wire& from, wire::RpcRequest request) {
    from.got.clear();
    from.socket->send(server(), wire::encode(request));
    world.run_for(20ms);
    if (from.got.size() != 1) return std::nullopt;
    return wire::decode_rpc_response(from.got[0].second);
  }

  sim::World world;
  sim::Host& host = world.add_host("9.8.7.6");
  ScriptedRuntime runtime{host};
  std::unique_ptr<Node> node;
};

}  // namespace hg::dht
