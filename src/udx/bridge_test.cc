// A stream between two hosts through a third one's bridge: intact, within the rate, closed to others.
#include "udx/bridge.h"

#include <gtest/gtest.h>

#include "sim/world.h"
#include "udx/test_link.h"

namespace hg::udx {
namespace {

using sim::Path;
using test::App;
using test::Peer;
using test::raw_packet;

/// A and B, who do not reach each other, and R between them.
struct Relayed {
  explicit Relayed(uint64_t rate = 100'000'000, size_t burst = 1 << 20)
      : ha(world.add_host("10.0.0.1")),
        hb(world.add_host("10.0.0.2")),
        hr(world.add_host("10.0.0.3")),
        pa(ha),
        pb(hb),
        pr(hr),
        a(pa),
        b(pb),
        own(std::make_shared<Bandwidth>(rate, burst)),
        total(std::make_shared<SharedBandwidth>(hr, rate * 10, burst * 10)) {
    world.set_default_path({.delay = 10ms});
    world.set_path(ha, hb, {.loss = 1});
    bridge = make({a.stream->id(), b.stream->id()}, own);
    a.stream->connect(*pa.socket, at(hr, pr), bridge->id(0));
    b.stream->connect(*pb.socket, at(hr, pr), bridge->id(1));
  }
  std::unique_ptr<Bridge> make(std::array<uint32_t, 2> ids, std::shared_ptr<Bandwidth> rate) {
    BridgeOptions options;
    options.remote_ids = ids;
    options.where = [this](size_t side) -> std::optional<BridgePlace> {
      if (lost) return std::nullopt;
      return BridgePlace{pr.socket.get(), side == 0 ? at(ha, pa) : at(hb, pb), nullptr};
    };
    options.own = std::move(rate);
    options.total = total;
    options.totals = &totals;
    options.on_destroyed = [this] { ++destroyed; };
    return pr.mux.create_bridge(std::move(options));
  }
  static Endpoint at(const sim::Host& host, const Peer& peer) { return {host.address(), peer.socket->local_endpoint().port}; }
  bool until_received(uint64_t bytes, Duration limit) {
    return world.run_until([&] { return b.received >= bytes; }, limit);
  }

  sim::World world{3};
  sim::Host& ha;
  sim::Host& hb;
  sim::Host& hr;
  Peer pa;
  Peer pb;
  Peer pr;
  App a;
  App b;
  std::shared_ptr<Bandwidth> own;
  std::shared_ptr<SharedBandwidth> total;
  BridgeCounters totals;
  std::unique_ptr<Bridge> bridge;
  bool lost = false;
  int destroyed = 0;
};

TEST(Bridge, CarriesAStreamBothWays) {
  Relayed net;
  net.a.send(3'000'000, true);
  net.b.send(2'000'000, true);
  ASSERT_TRUE(net.world.run_until([&] { return net.a.closes == 1 && net.b.closes == 1; }, 30s));
  EXPECT_EQ(net.b.received, 3'000'000u);
  EXPECT_EQ(net.a.received, 2'000'000u);
  EXPECT_TRUE(net.a.intact && net.b.intact);
  EXPECT_EQ(net.a.close_code + net.b.close_code, "");
  EXPECT_GT(net.bridge->counters().bytes, 5'000'000u);
  EXPECT_EQ(net.totals.packets, net.bridge->counters().packets);
  EXPECT_EQ(net.destroyed, 0);
  EXPECT_EQ(net.pr.strays, 0);
}

TEST(Bridge, SmallPacketsCostOneDatagramEach) {
  Relayed net;
  net.a.send(5);
  ASSERT_TRUE(net.until_received(5, 1s));
  net.world.run_for(2s);
  EXPECT_EQ(net.bridge->counters().packets, 2u) << "the data and its acknowledgement";
  EXPECT_EQ(net.world.counters(net.ha, net.hr).sent, 1u);
  EXPECT_EQ(net.world.counters(net.hr, net.hb).sent, 1u);
}

TEST(Bridge, RunsStayRuns) {
  Relayed net;
  net.a.send(9 * 1152 + 100);
  ASSERT_TRUE(net.until_received(9 * 1152 + 100, 1s));
  net.world.run_for(100ms);
  EXPECT_EQ(net.pr.socket->runs, 2) << "ten datagrams one way, the acknowledgement the other";
  EXPECT_EQ(net.pr.socket->datagrams, 11);
}

TEST(Bridge, KeepsToItsRateWithoutDroppingMuch) {
  constexpr uint64_t kRate = 250'000;  // 2 Mbit/s
  Relayed net(kRate, 25'000);
  net.a.content = net.b.content = false;
  net.a.send(1ull << 30);
  net.world.run_for(20s);
  const BridgeCounters& c = net.bridge->counters();
  EXPECT_LE(c.bytes, kRate * 20 + 25'000 + 1500);
  EXPECT_GE(net.b.received, kRate * 20 * 85 / 100);
  EXPECT_LT(c.dropped, c.packets / 20);
}

TEST(Bridge, PairsShareTheTotalEvenIfOneComesLate) {
  constexpr uint64_t kRate = 250'000;
  Relayed net(10'000'000);
  net.total = std::make_shared<SharedBandwidth>(net.hr, kRate, 25'000);
  net.bridge = net.make({net.a.stream->id(), net.b.stream->id()}, std::make_shared<Bandwidth>(kRate, 25'000));
  net.a.stream->change_remote(*net.pa.socket, Relayed::at(net.hr, net.pr), net.bridge->id(0), [] {});
  net.b.stream->change_remote(*net.pb.socket, Relayed::at(net.hr, net.pr), net.bridge->id(1), [] {});
  App a2(net.pa);
  App b2(net.pb);
  const auto second = net.make({a2.stream->id(), b2.stream->id()}, std::make_shared<Bandwidth>(kRate, 25'000));
  a2.stream->connect(*net.pa.socket, Relayed::at(net.hr, net.pr), second->id(0));
  b2.stream->connect(*net.pb.socket, Relayed::at(net.hr, net.pr), second->id(1));
  for (App* app : {&net.a, &net.b, &a2, &b2}) app->content = false;
  net.a.send(1ull << 30);
  net.world.run_for(10s);
  const uint64_t old = net.b.received;
  EXPECT_GE(old, kRate * 10 * 80 / 100);
  a2.send(1ull << 30);
  net.world.run_for(20s);
  EXPECT_LE(net.totals.bytes, kRate * 30 + 25'000 + 1500);
  EXPECT_GE(net.totals.bytes, kRate * 30 * 85 / 100);
  EXPECT_GE(b2.received, kRate * 20 * 35 / 100);
  EXPECT_GE(net.b.received - old, kRate * 20 * 35 / 100);
}

TEST(Bridge, PacketsFromOtherHostsAreNotHandedOn) {
  Relayed net;
  sim::Host& stranger = net.world.add_host("10.0.0.9");
  Peer ps(stranger);
  const auto packet = raw_packet({wire::kUdxData, 0, net.bridge->id(0), 1 << 20, 0, 0}, Bytes(100, 7));
  for (int i = 0; i < 10; ++i) ps.socket->send(Relayed::at(net.hr, net.pr), packet, UdpSocket::kDefaultTtl);
  net.world.run_for(1s);
  EXPECT_EQ(net.bridge->counters().packets, 0u);
  EXPECT_EQ(net.bridge->counters().foreign, 10u);
  EXPECT_EQ(net.b.received, 0u);
}

TEST(Bridge, FollowsAPeerWhosePortChanged) {
  Relayed net;
  net.a.send(1000);
  ASSERT_TRUE(net.until_received(1000, 1s));
  const auto fresh = net.pa.open();
  net.a.stream->change_remote(*fresh, Relayed::at(net.hr, net.pr), net.bridge->id(0), [] {});
  net.a.send(500'000);
  net.b.send(500'000);
  ASSERT_TRUE(net.until_received(501'000, 10s));
  ASSERT_TRUE(net.world.run_until([&] { return net.a.received >= 500'000; }, 10s));
  EXPECT_TRUE(net.a.intact && net.b.intact);
  net.a.stream.reset();
}

TEST(Bridge, OutlivesItsControlConnectionsAndTellsOfADestroy) {
  Relayed net;
  net.a.send(1000);
  ASSERT_TRUE(net.until_received(1000, 1s));
  net.world.run_for(100ms);
  net.lost = true;
  net.a.send(1000);
  ASSERT_TRUE(net.until_received(2000, 1s));
  net.a.stream->destroy();
  ASSERT_TRUE(net.world.run_until([&] { return net.b.closes == 1; }, 2s));
  EXPECT_EQ(net.b.close_code, "ECONNRESET");
  EXPECT_EQ(net.destroyed, 1);
  net.bridge.reset();
  net.a.stream.reset();
  net.b.stream.reset();
  net.world.run_for(1s);
}

TEST(Bridge, WhatTheKernelRefusesIsLost) {
  Relayed net;
  net.pr.socket->verdict = SendResult::kWouldBlock;
  net.a.send(1000);
  net.world.run_for(500ms);
  EXPECT_EQ(net.b.received, 0u);
  EXPECT_GT(net.bridge->counters().dropped, 0u);
  net.pr.socket->verdict = SendResult::kSent;
  ASSERT_TRUE(net.until_received(1000, 5s));
  EXPECT_TRUE(net.b.intact);
}

}  // namespace
}  // namespace hg::udx
