#include "relay/shaped.h"

#include "support/relay_members.h"

namespace hg::relay {
namespace {

using namespace test;

// 10 KB of burst pass, 10 KB more wait, and what comes on top ends the flow.
constexpr const char* kSmallBurst = R"({"defaults":{"bandwidthLimit":{"mbps":0.8,"burstMbps":0.08}}})";

/// A UDP service whose clients are limited so.
class LimitedUdp : public RelayTest {
 protected:
  void serve_limited(io::LocalUdp::Handler handler) {
    service_ = std::move(*io::udp_bind(loop_, loopback(0)));
    service_->set_handler(std::move(handler));
    udp_service_port_ = service_->local_address().port();
    start();
    set_policy(kSmallBurst);
  }
  std::unique_ptr<io::LocalUdp> service_;
};

TEST_F(LimitedUdp, AFlowThatOverfillsItsBurstOnTheWayUpIsDropped) {
  size_t arrived = 0;
  serve_limited([&](const io::SocketAddress&, ByteView) { ++arrived; });
  auto client = std::move(*io::udp_connect(loop_, loopback(udp_port_)));
  client->send(Bytes(1000));
  ASSERT_TRUE(wait([&] { return arrived == 1; }));
  for (int i = 0; i < 24; ++i) client->send(Bytes(1000));
  ASSERT_TRUE(wait([&] { return gateway_->counters().closed_shaping > 0; }));
  ASSERT_TRUE(wait([&] { return arrived >= 10; }));
  EXPECT_LT(arrived, 20u);
}

TEST_F(LimitedUdp, AFlowThatOverfillsItsBurstOnTheWayDownIsDropped) {
  serve_limited([&](const io::SocketAddress& from, ByteView) {
    for (int i = 0; i < 24; ++i) service_->send_to(from, Bytes(1000));
  });
  auto client = std::move(*io::udp_connect(loop_, loopback(udp_port_)));
  size_t answers = 0;
  client->set_handler([&](const io::SocketAddress&, ByteView) { ++answers; });
  client->send(Bytes(1000));
  ASSERT_TRUE(wait([&] { return gateway_->counters().closed_shaping == 1; }));
  ASSERT_TRUE(wait([&] { return links_->links() == 0; }));
  ASSERT_TRUE(wait([&] { return answers >= 8; }));
  EXPECT_LT(answers, 20u);
}

TEST_F(LimitedUdp, AllFlowsOfAClientShareOneQueue) {
  size_t arrived = 0;
  serve_limited([&](const io::SocketAddress&, ByteView) { ++arrived; });
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

}  // namespace
}  // namespace hg::relay
