// A node behind a router that lets its port in, and what it says of its address when the router changes.
#include <gtest/gtest.h>

#include "dht/node.h"
#include "sim/dht_network.h"

namespace hg::dht {
namespace {

using sim::DhtNetwork;
using std::chrono::minutes;

constexpr uint32_t kInside = 0x0a000002;  // 10.0.0.2

/// A socket whose port is forwarded: the router passes in whatever comes.
class ForwardedSocket final : public UdpSocket, public UdpReceiver {
 public:
  ForwardedSocket(sim::Host& router, uint16_t port, const size_t& remaps) : router_(router), remaps_(remaps) { map(port); }

  Endpoint local_endpoint() const override { return {kInside, port_}; }
  void set_receiver(UdpReceiver* receiver) override { receiver_ = receiver; }
  SendResult send(const Endpoint& to, ByteView data, int) override {
    if (remaps_ != remaps_seen_) map(0);
    return mapping_->send(to, data);
  }
  SendResult send_fragmentable(const Endpoint& to, ByteView data) override { return send(to, data, kDefaultTtl); }
  size_t max_segments() const override { return 1; }
  size_t max_segment_bytes() const override { return 1472; }
  SendResult send_segments(const Endpoint&, std::span<const ByteView>, size_t) override { return SendResult::kFailed; }
  void on_writable(std::function<void()> callback) override { router_.post(std::move(callback)); }
  size_t path_mtu(const Endpoint&) const override { return 0; }
  void on_datagram(UdpSocket&, const Endpoint& from, ByteView data) override {
    if (receiver_ != nullptr) receiver_->on_datagram(*this, from, data);
  }
  void on_drained(UdpSocket&) override {
    if (receiver_ != nullptr) receiver_->on_drained(*this);
  }

 private:
  void map(uint16_t port) {
    remaps_seen_ = remaps_;
    mapping_ = *router_.open_udp({0, port});
    mapping_->set_receiver(this);
    if (port_ == 0) port_ = mapping_->local_endpoint().port;
  }

  sim::Host& router_;
  const size_t& remaps_;
  size_t remaps_seen_ = 0;
  uint16_t port_ = 0;
  UdpReceiver* receiver_ = nullptr;
  std::unique_ptr<UdpSocket> mapping_;
};

/// A machine behind the router `host`: its own interface never changes.
class Forwarded final : public Runtime, public UdpNetwork {
 public:
  explicit Forwarded(sim::Host& host) : host_(host) {}
  TimePoint now() const override { return host_.now(); }
  int64_t wall_ms() const override { return host_.wall_ms(); }
  TimerQueue& timers() override { return host_.timers(); }
  Rng& rng() override { return host_.rng(); }
  UdpNetwork& network() override { return *this; }
  void post(std::function<void()> task) override { host_.post(std::move(task)); }
  Expected<std::unique_ptr<UdpSocket>> open_udp(const Endpoint& bind) override {
    return std::unique_ptr<UdpSocket>(std::make_unique<ForwardedSocket>(host_, bind.port, remaps));
  }
  std::vector<uint32_t> interface_addresses() const override { return {kInside}; }
  void resolve(const std::string& name, std::function<void(Expected<std::vector<uint32_t>>)> callback) override {
    host_.resolve(name, std::move(callback));
  }

  size_t remaps = 0;  // how often the router has given every socket another port

 private:
  sim::Host& host_;
};

class NodeBehindRouter : public ::testing::Test {
 protected:
  NodeBehindRouter() {
    net_.add_persistent(10);
    EXPECT_TRUE(net_.settle());
    node_ = std::make_unique<Node>(machine_, DhtNetwork::user_options());
    EXPECT_TRUE(node_->start());
    net_.world.run_for(minutes(2));
    EXPECT_EQ(node_->remote_address(), (Endpoint{router_.address(), 49737}));
  }

  DhtNetwork net_;
  sim::Host& router_ = net_.world.add_host("9.5.5.5");
  Forwarded machine_{router_};
  std::unique_ptr<Node> node_;
};

TEST_F(NodeBehindRouter, NoticesThatItsPublicAddressChanged) {
  router_.set_address(*parse_ipv4("9.6.6.6"));
  net_.world.run_for(minutes(2));
  EXPECT_EQ(node_->remote_address(), (Endpoint{router_.address(), 49737}));
}

TEST_F(NodeBehindRouter, IsPersistentUnderItsNewAddress) {
  net_.world.run_for(minutes(25));
  ASSERT_FALSE(node_->ephemeral());
  router_.set_address(*parse_ipv4("9.6.6.6"));
  net_.world.run_for(minutes(2));
  EXPECT_TRUE(node_->ephemeral());
  net_.world.run_for(minutes(70));
  EXPECT_EQ(node_->id(), node_id({router_.address(), 49737}));
}

TEST_F(NodeBehindRouter, SaysNoAddressWhenItsPortIsNoLongerForwarded) {
  machine_.remaps++;
  net_.world.run_for(minutes(2));
  EXPECT_FALSE(node_->remote_address());
  EXPECT_TRUE(node_->firewalled());
}

}  // namespace
}  // namespace hg::dht
