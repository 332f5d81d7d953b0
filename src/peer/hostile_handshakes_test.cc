// A server that is lied to, and one that is sent more handshakes than it serves.
#include <gtest/gtest.h>

#include "noise/handshake.h"
#include "peer/server.h"
#include "support/listening_peers.h"

namespace hg::peer {
namespace {

using sim::NatKind;
using sim::Peer;
using sim::PeerNetwork;

TEST_F(Peers, NothingMalformedDoesHarm) {
  Peer& a = net_.add_open();
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  const Hash32 target = dht::hash_target(key(1).public_key);
  const std::vector<Endpoint> places{a.node.socket().local_endpoint(), server_->relay_addresses()[0],
                                     net_.peers[3]->node.socket().local_endpoint()};
  SeededRng rng(5);
  for (int i = 0; i < 3000; ++i) {
    dht::Command command;
    command.command = i % 2 == 0 ? wire::kPeerHandshake : wire::kPeerHolepunch;
    if (i % 7 != 0) command.target = target;
    Bytes body(rng.below(200));
    rng.fill(body);
    const uint64_t mode = rng.below(6);
    std::optional<Endpoint> peer, relay;
    if (rng.below(2) == 0) peer = Endpoint{b.node.socket().local_endpoint().address, static_cast<uint16_t>(rng.below(3))};
    if (rng.below(2) == 0) relay = places[rng.below(3)];
    switch (rng.below(4)) {
      case 0:
        command.value = body;
        break;
      case 1:
        command.value = Bytes{};
        break;
      default:
        command.value = command.command == wire::kPeerHandshake ? wire::encode(wire::Handshake{mode, body, peer, relay})
                                                                : wire::encode(wire::Holepunch{mode, rng.below(5), body, peer});
    }
    dht::RequestOptions options;
    options.retries = 0;
    b.node
        .request(
            places[rng.below(3)], std::move(command), [](auto) {}, std::move(options))
        .detach();
    net_.world.run_for(5ms);
  }
  EXPECT_GT(a.host->counters().handshakes_refused, 50u);
  net_.world.run_for(30s);
  auto made = connect(b, key(1).public_key);
  ASSERT_TRUE(made) << made.error().code;
  expect_echo(std::move(*made));
}

TEST_F(Peers, PayloadsThatLieAreRefusedOrSurvived) {
  Peer& a = net_.add_open();
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  const Hash32 target = dht::hash_target(key(1).public_key);
  wire::NoisePayload good;
  good.udx = wire::UdxInfo{.id = 77};
  good.secret_stream = wire::SecretStreamInfo{};
  wire::NoisePayload other_version = good, no_udx = good, odd_firewall = good, open = good, many = good;
  other_version.version = 2;
  no_udx.udx.reset();
  odd_firewall.firewall = 1234567;
  open.firewall = wire::kFirewallOpen;
  for (uint16_t i = 0; i < 150; ++i) many.addresses4.push_back({0x0a000001, i});
  for (const wire::NoisePayload& payload : {other_version, no_udx, odd_firewall, open, many}) {
    auto handshake = noise::IkHandshake::initiator(key(98), key(1).public_key, noise::dht_namespace(wire::kPeerHandshake), b.runtime.rng());
    dht::Command command;
    command.command = wire::kPeerHandshake;
    command.target = target;
    command.value = wire::encode(wire::Handshake{wire::kFromClient, *handshake.write_message(wire::encode(payload)), {}, {}});
    std::optional<wire::NoisePayload> answer;
    const auto request = b.node.request(a.node.socket().local_endpoint(), std::move(command), [&](Expected<dht::Response> r) {
      ASSERT_TRUE(r) << r.error().code;
      const auto reply = wire::decode_handshake(r->value.value_or(Bytes{}));
      ASSERT_TRUE(reply);
      const auto plain = handshake.read_message(reply->noise);
      ASSERT_TRUE(plain);
      answer = wire::decode_noise_payload(*plain);
    });
    net_.world.run_for(3s);
    ASSERT_TRUE(answer);
    const uint64_t expected = payload.version != 1 ? wire::kErrorVersionMismatch : !payload.udx ? wire::kErrorAborted : wire::kErrorNone;
    EXPECT_EQ(answer->error, expected);
  }
  net_.world.run_for(60s);
  EXPECT_TRUE(served_.empty());
  EXPECT_EQ(a.mux.stream_count(), 0u);
}

/// Sends handshakes, each a new one: straight, or as if a relay passed them on for some client.
class Flood {
 public:
  static constexpr Duration kApart = 8ms;

  Flood(PeerNetwork& net, Peer& from, const PublicKey& server, const Endpoint& at, bool as_relay)
      : net_(net), from_(from), server_(server), at_(at), as_relay_(as_relay) {}

  void send(
      int count, const std::function<bool()>& enough = [] { return false; }) {
    for (int i = 0; i < count && !enough(); ++i) {
      send_one();
      net_.world.run_for(kApart);
    }
  }

  void send_one() {
    wire::NoisePayload payload;
    payload.udx = wire::UdxInfo{.id = 77};
    payload.firewall = as_relay_ ? wire::kFirewallUnknown : wire::kFirewallOpen;
    auto handshake = noise::IkHandshake::initiator(key(98), server_, noise::dht_namespace(wire::kPeerHandshake), from_.runtime.rng());
    wire::Handshake message{wire::kFromClient, *handshake.write_message(wire::encode(payload)), {}, {}};
    if (as_relay_) {
      message.mode = wire::kFromRelay;
      message.peer_address = Endpoint{rng_.u32(), static_cast<uint16_t>(1 + rng_.below(60000))};
    }
    dht::Command command;
    command.command = wire::kPeerHandshake;
    command.target = dht::hash_target(server_);
    command.value = wire::encode(message);
    dht::RequestOptions options;
    options.retries = 0;
    from_.node
        .request(
            at_, std::move(command), [](auto) {}, std::move(options))
        .detach();
  }

 private:
  PeerNetwork& net_;
  Peer& from_;
  PublicKey server_;
  Endpoint at_;
  bool as_relay_;
  SeededRng rng_{5};
};

TEST_F(Peers, AFloodOfHandshakesIsBounded) {
  Peer& a = net_.add_open();
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  Flood(net_, b, key(1).public_key, a.node.socket().local_endpoint(), false).send(600);
  EXPECT_LE(a.mux.stream_count(), 32u);
  net_.world.run_for(60s);
  EXPECT_EQ(a.mux.stream_count(), 0u);
}

TEST_F(Peers, AFloodThatNamesOtherClientsLocksNobodyOut) {
  Peer& a = net_.add_open();
  Peer& b = net_.add_open();
  Peer& c = net_.add_behind_nat(NatKind::kConsistent);
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  for (const Endpoint& at : {a.node.socket().local_endpoint(), server_->relay_addresses().back()}) {
    Flood flood(net_, b, key(1).public_key, at, true);
    flood.send(1500);
    EXPECT_LE(a.mux.stream_count(), 32u);
    std::unique_ptr<noise::SecureConnection> made;
    const auto attempt = c.host->connect(key(1).public_key, {key(99), {}}, [&](auto result) {
      if (result) made = std::move(*result);
    });
    flood.send(600, [&] { return made != nullptr; });
    ASSERT_TRUE(made);
    expect_echo(std::move(made));
  }
}

TEST(HandshakeRate, WhoComesLaterHasAShare) {
  HandshakeRate rate;
  TimePoint now{1h};
  for (const Duration pause : {1s, 1s, 3s, 5s}) {
    now += pause;
    uint32_t taken = 0;
    for (uint32_t host = 1; host <= 64; ++host)
      for (int i = 0; i < 64; ++i) taken += rate.take(host, 32, now);
    uint32_t newcomer = 0;
    while (rate.take(99, 32, now)) newcomer++;
    if (now > TimePoint{1h + 1s}) {
      EXPECT_GE(newcomer, 2u);
    }
    EXPECT_LE(taken + newcomer, HandshakeRate::kPerSecond);
  }
  now += 1min;
  uint32_t alone = 0;
  while (rate.take(99, HandshakeRate::kPerSecond, now)) alone++;
  EXPECT_EQ(alone, HandshakeRate::kPerSecond);
}

/// Sixteen hosts that all send handshakes, and leave the answers alone: straight and through a relay in turns.
class Besieged : public Peers {
 protected:
  static constexpr size_t kHosts = 16;

  void begin(Peer& server, Duration apart) {
    ASSERT_TRUE(net_.settle());
    listen(server, key(1));
    for (Peer* host : hosts_) {
      for (const Endpoint& at : {server.node.socket().local_endpoint(), server_->relay_addresses().back()})
        floods_.emplace_back(net_, *host, key(1).public_key, at, false);
    }
    apart_ = apart;
    timer_.arm(net_.world.now());
  }
  /// A member behind a NAT connects again and again for so long.
  void connect_for(Duration span) {
    const TimePoint until = net_.world.now() + span;
    while (net_.world.now() < until) {
      const auto made = connect(member_, key(1).public_key);
      (made ? made_ : failed_)++;
      served_.clear();
    }
  }
  void TearDown() override {
    timer_.disarm();
    Peers::TearDown();
  }
  struct Siege {
    Duration apart;   // of handshakes
    Duration before;  // it begins, so much before the member
    Duration during;
    int made;  // connections of the member, at least
  };
  void expect_room(Peer& server, const Siege& siege) {
    begin(server, siege.apart);
    net_.world.run_for(siege.before);
    connect_for(siege.during);
    EXPECT_GE(made_, siege.made);
    EXPECT_EQ(failed_, 0);
  }
  static std::vector<Peer*> hosts(PeerNetwork& net) {
    std::vector<Peer*> out;
    for (size_t i = 0; i < kHosts; ++i) out.push_back(&net.add_open());
    return out;
  }

  std::vector<Peer*> hosts_ = hosts(net_);
  Peer& member_ = net_.add_behind_nat(NatKind::kConsistent);
  std::vector<Flood> floods_;
  size_t next_ = 0;
  Duration apart_{};
  Timer timer_{net_.world.timers(), [this] {
                 floods_[next_++ % floods_.size()].send_one();
                 timer_.arm(net_.world.now() + apart_);
               }};
  int made_ = 0;
  int failed_ = 0;
};

TEST_F(Besieged, SlowlyAnOpenServer) { expect_room(net_.add_open(), {.apart = 3ms, .before = 12s, .during = 20s, .made = 300}); }

TEST_F(Besieged, SlowlyAServerBehindANat) {
  expect_room(net_.add_behind_nat(NatKind::kConsistent), {.apart = 3ms, .before = 12s, .during = 20s, .made = 80});
}

TEST_F(Besieged, InAHurry) { expect_room(net_.add_open(), {.apart = 300us, .before = 2s, .during = 4s, .made = 40}); }

/// Hosts that begin punches, many at a time, none of which comes to anything.
TEST_F(Peers, ManyPunchesInVainLeaveRoomForOthers) {
  Peer& server = net_.add_behind_nat(NatKind::kConsistent);
  Peer& member = net_.add_behind_nat(NatKind::kConsistent);
  std::vector<Peer*> hosts;
  for (int i = 0; i < 8; ++i) {
    hosts.push_back(&net_.add_behind_nat(NatKind::kConsistent));
    net_.block(*hosts.back(), server);
  }
  ASSERT_TRUE(net_.settle());
  listen(server, key(1));
  std::vector<std::unique_ptr<Attempt>> attempts(hosts.size() * ServerImpl::kMaxPerHost);
  std::function<void(size_t)> begin = [&](size_t n) {
    Peer& from = *hosts[n % hosts.size()];
    attempts[n] = from.host->connect(key(1).public_key, {key(98), {}}, [&, n](auto) { from.runtime.post([&, n] { begin(n); }); });
  };
  for (size_t i = 0; i < attempts.size(); ++i) begin(i);
  for (int i = 0; i < 30; ++i) {
    net_.world.run_for(500ms);
    const auto made = connect(member, key(1).public_key);
    ASSERT_TRUE(made) << made.error().code;
    EXPECT_LT(took_, 5s);
  }
  attempts.clear();
  net_.world.run_for(1s);
}

/// Behind a random NAT; has one punch after the other come to nothing.
class Hog {
 public:
  Hog(PeerNetwork& net, const PublicKey& server) : peer_(net.add(NatKind::kRandom)), server_(server) {
    net.nats.back()->counters.probes_to_lose = SIZE_MAX;
  }
  void begin() {
    attempt_ = peer_.host->connect(server_, {key(98), {}}, [this](auto) { peer_.runtime.post([this] { begin(); }); });
  }
  void end() { attempt_.reset(); }

 private:
  Peer& peer_;
  PublicKey server_;
  std::unique_ptr<Attempt> attempt_;
};

/// Two of those towards a server with key(1), and a member behind a random NAT with key(2).
class HoggedPeers : public Peers {
 protected:
  void SetUp() override {
    ASSERT_TRUE(net_.settle());
    listen(member_, key(2));
    server_of_member_ = std::move(server_);
    listen(hogged_, key(1));
    for (Hog& hog : hogs_) hog.begin();
  }
  void TearDown() override {
    for (Hog& hog : hogs_) hog.end();
    server_of_member_.reset();
    Peers::TearDown();
  }
  /// Until it succeeds, with the pauses of a swarm.
  void expect_connected_within(Duration limit, Peer& from, const PublicKey& to) {
    const TimePoint start = net_.world.now();
    auto made = connect(from, to);
    while (!made && net_.world.now() - start < 300s) {
      net_.world.run_for(15s);
      made = connect(from, to);
    }
    EXPECT_TRUE(made);
    EXPECT_LT(net_.world.now() - start, limit);
  }

  Peer& hogged_ = net_.add(NatKind::kConsistent);
  Hog hogs_[2] = {{net_, key(1).public_key}, {net_, key(1).public_key}};
  Peer& member_ = net_.add(NatKind::kRandom);
  std::unique_ptr<Server> server_of_member_;
};

TEST_F(HoggedPeers, StrangersDoNotKeepTheRandomPunchForThemselves) {
  for (int i = 0; i < 5; ++i) {
    net_.world.run_for(10s);
    expect_connected_within(60s, member_, key(1).public_key);
  }
}

TEST_F(HoggedPeers, StrangersDoNotKeepUsFromARandomPunchOfOurOwn) {
  for (int i = 0; i < 5; ++i) {
    net_.world.run_for(10s);
    expect_connected_within(60s, hogged_, key(2).public_key);
  }
}

TEST_F(Peers, ManyOfOneHostAreServedOneAfterTheOther) {
  Peer& a = net_.add_open();
  Peer& b = net_.add_open();
  ASSERT_TRUE(net_.settle());
  listen(a, key(1));
  for (size_t i = 1; i <= 50; ++i) {
    const auto made = connect(b, key(1).public_key, 5s);
    ASSERT_TRUE(made) << made.error().code;
    ASSERT_TRUE(net_.world.run_until([&] { return served_.size() == i; }, 1s)) << i;
  }
}

}  // namespace
}  // namespace hg::peer
