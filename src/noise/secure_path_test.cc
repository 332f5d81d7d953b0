// Connections that outlive their path: held while the peer is silent, moved, followed. Real UDX streams in virtual time.
#include <gtest/gtest.h>

#include "noise/secure_connection.h"
#include "sim/world.h"

namespace hg::noise {
namespace {

using sim::Path;

struct End final : public UdpReceiver, public ByteStreamHandler {
  explicit End(sim::Host& h) : host(h), mux(h) { first = open(); }
  ~End() override {
    fresh.reset();
    connection.reset();
    for (auto& socket : sockets) socket->set_receiver(nullptr);
  }

  UdpSocket& open_at(uint16_t port) {
    sockets.push_back(std::move(*host.open_udp({0, port})));
    sockets.back()->set_receiver(this);
    return *sockets.back();
  }
  UdpSocket* open() { return &open_at(0); }
  Endpoint at(const UdpSocket& socket) const { return {host.address(), socket.local_endpoint().port}; }
  Endpoint at_first() const { return at(*first); }

  void on_datagram(UdpSocket& socket, const Endpoint& from, ByteView data) override { mux.on_datagram(socket, from, data); }
  void on_drained(UdpSocket&) override { mux.on_drained(); }

  void on_data(ByteView data) override {
    for (const uint8_t byte : data) intact = intact && byte == byte_at(received++);
  }
  void on_drain() override { pump(); }
  void on_close(const std::optional<Error>& e) override {
    closed = true;
    if (e) error = e->code;
  }
  void send(uint64_t bytes) {
    to_send += bytes;
    pump();
  }
  void pump() {
    while (sent < to_send) {
      const size_t n = static_cast<size_t>(std::min<uint64_t>(20000, to_send - sent));
      Buffer part = Buffer::with_room(connection->write_headroom(), n + connection->write_tailroom());
      for (size_t i = 0; i < n; ++i) part.tail()[i] = byte_at(sent + i);
      part.grow(n);
      sent += n;
      if (!connection->write(std::move(part))) return;
    }
  }
  static uint8_t byte_at(uint64_t i) { return static_cast<uint8_t>(i * 31 + (i >> 9)); }

  sim::Host& host;
  udx::Mux mux;
  std::vector<std::unique_ptr<UdpSocket>> sockets;
  UdpSocket* first;
  std::unique_ptr<SecureConnection> connection;
  std::unique_ptr<SecureConnection> fresh;
  std::vector<PathEvent> events;
  uint64_t to_send = 0;
  uint64_t sent = 0;
  uint64_t received = 0;
  bool intact = true;
  bool closed = false;
  std::string error;
};

class Paths : public ::testing::Test {
 protected:
  void SetUp() override { crypto::init(); }

  /// Connects both ends over the given sockets, with keys as a handshake would leave them.
  std::pair<std::unique_ptr<SecureConnection>, std::unique_ptr<SecureConnection>> join(UdpSocket& at_a, UdpSocket& at_b) {
    SessionKeys a, b;
    a.is_initiator = true;
    a.tx = b.rx = world_rng_.array<32>();
    a.rx = b.tx = world_rng_.array<32>();
    a.handshake_hash = b.handshake_hash = world_rng_.array<64>();
    a.local_key = b.remote_key = PublicKey{1};
    b.local_key = a.remote_key = PublicKey{2};
    auto sa = a_.mux.create_stream();
    auto sb = b_.mux.create_stream();
    const uint32_t ida = sa->id(), idb = sb->id();
    sa->connect(at_a, b_.at(at_b), idb);
    sb->connect(at_b, a_.at(at_a), ida);
    return {std::make_unique<SecureConnection>(a_.host, std::move(sa), a), std::make_unique<SecureConnection>(b_.host, std::move(sb), b)};
  }
  void connect(bool movable = true) {
    std::tie(a_.connection, b_.connection) = join(*a_.first, *b_.first);
    for (End* end : {&a_, &b_}) {
      end->connection->set_handler(end);
      end->connection->set_path_observer([end](PathEvent event) { end->events.push_back(event); });
    }
    ASSERT_TRUE(world_.run_until([&] { return a_.connection->open() && b_.connection->open(); }, 30s));
    if (movable) a_.connection->allow_moves(), b_.connection->allow_moves();
    world_.run_for(100ms);
  }
  /// A fresh connection over sockets of its own, agreed to continue the old one.
  void make_fresh(UdpSocket& at_a, UdpSocket& at_b) {
    std::tie(a_.fresh, b_.fresh) = join(at_a, at_b);
    a_.fresh->set_continuation(Continuation{a_.connection->session_id(), b_.connection->udx_id()});
    b_.fresh->set_continuation(Continuation{b_.connection->session_id(), a_.connection->udx_id()});
  }
  void cut(bool on) {
    ha_.set_up(!on);
    hb_.set_up(!on);
  }
  bool until(const std::function<bool()>& done, Duration limit) {
    const TimePoint start = world_.now();
    const bool ok = world_.run_until(done, limit);
    took_ = world_.now() - start;
    return ok;
  }
  void expect_everything_arrived() {
    EXPECT_TRUE(until([&] { return b_.received == a_.to_send && a_.received == b_.to_send; }, 60s))
        << b_.received << " of " << a_.to_send << ", " << a_.received << " of " << b_.to_send;
    EXPECT_TRUE(a_.intact && b_.intact);
    EXPECT_FALSE(a_.closed || b_.closed);
  }

  SeededRng world_rng_{77};
  sim::World world_{9};
  sim::Host& ha_ = world_.add_host("10.0.0.1");
  sim::Host& hb_ = world_.add_host("10.0.0.2");
  End a_{ha_};
  End b_{hb_};
  Duration took_{};
};

TEST_F(Paths, SilenceUnderTrafficIsNoticedSoonAndHeldAndEndsWithTheOutage) {
  world_.set_default_path({.delay = 20ms});
  connect();
  a_.send(3000000);
  b_.send(1000000);
  world_.run_for(60ms);
  cut(true);
  ASSERT_TRUE(until([&] { return !a_.connection->answering() && !b_.connection->answering(); }, 10s));
  EXPECT_LT(took_, 2500ms);
  world_.run_for(40s);
  EXPECT_FALSE(a_.closed || b_.closed);
  EXPECT_LT(a_.connection->queued_bytes(), 2u << 20) << "the writer is held back";
  cut(false);
  const uint64_t before = b_.received;
  ASSERT_TRUE(until([&] { return b_.received > before && a_.connection->answering(); }, 5s));
  EXPECT_LT(took_, 700ms);
  expect_everything_arrived();
  EXPECT_EQ(a_.events, (std::vector{PathEvent::kMovable, PathEvent::kSilent, PathEvent::kAnswering}));
}

TEST_F(Paths, AnIdleConnectionNoticesToo) {
  connect();
  world_.run_for(20s);
  const uint64_t idle_packets = world_.counters(ha_, hb_).sent;
  world_.run_for(60s);
  EXPECT_LT(world_.counters(ha_, hb_).sent - idle_packets, 80u) << "an idle connection is quiet";
  cut(true);
  ASSERT_TRUE(until([&] { return !a_.connection->answering(); }, 10s));
  EXPECT_LT(took_, 5s);
}

TEST_F(Paths, AnEventMakesItAskAtOnce) {
  connect();
  world_.run_for(2s);
  cut(true);
  a_.connection->test_path();
  ASSERT_TRUE(until([&] { return !a_.connection->answering(); }, 10s));
  EXPECT_LT(took_, 400ms);
  cut(false);
  ASSERT_TRUE(until([&] { return a_.connection->answering(); }, 10s));
  EXPECT_LT(took_, 600ms);
}

TEST_F(Paths, TheHoldIsBounded) {
  connect();
  a_.send(100);
  world_.run_for(1s);
  cut(true);
  ASSERT_TRUE(until([&] { return a_.closed && b_.closed; }, 120s));
  EXPECT_GT(took_, 55s);
  EXPECT_LT(took_, 70s);
  EXPECT_EQ(a_.error, "ETIMEDOUT");
}

TEST_F(Paths, WithoutTheOtherSidesConsentNothingChanges) {
  connect(false);
  world_.run_for(1s);
  cut(true);
  ASSERT_TRUE(until([&] { return a_.closed && b_.closed; }, 120s));
  EXPECT_LT(took_, 10s);
}

TEST_F(Paths, LossAndLongRoundTripsAreNoSilence) {
  world_.set_default_path({.delay = 400ms, .jitter = 150ms, .loss = 0.25});
  connect();
  for (int i = 0; i < 60; ++i) {
    a_.send(2000);
    b_.send(2000);
    world_.run_for(1s);
  }
  expect_everything_arrived();
  EXPECT_LE(std::count(a_.events.begin(), a_.events.end(), PathEvent::kSilent), 2);
}

TEST_F(Paths, MovesToAFreshPathWithEveryByte) {
  world_.set_default_path({.delay = 20ms, .loss = 0.02});
  connect();
  for (int round = 0; round < 12; ++round) {
    a_.send(400000);
    b_.send(150000);
    world_.run_for(std::chrono::milliseconds(7 * round));
    make_fresh(*a_.open(), *b_.open());
    world_.run_for(std::chrono::milliseconds(30 + 11 * (round % 4)));
    (round % 2 != 0 ? a_ : b_).connection->move_to(round % 2 != 0 ? *a_.fresh : *b_.fresh);
    world_.run_for(std::chrono::milliseconds(5 * (round % 5)));
    (round % 2 != 0 ? b_ : a_).connection->move_to(round % 2 != 0 ? *b_.fresh : *a_.fresh);
    EXPECT_EQ(a_.connection->stats().remote, b_.at(*b_.sockets.back()));
  }
  expect_everything_arrived();
  a_.fresh.reset();
  b_.fresh.reset();
  world_.run_for(1s);
  EXPECT_FALSE(a_.closed || b_.closed) << "the fresh connection goes quietly";
}

TEST_F(Paths, ADeadPathIsLeftForAFreshOne) {
  world_.set_default_path({.delay = 20ms});
  connect();
  a_.send(5000000);
  b_.send(500000);
  world_.run_for(80ms);
  a_.first->set_receiver(nullptr);  // nothing gets through there any more
  b_.first->set_receiver(nullptr);
  ASSERT_TRUE(until([&] { return !a_.connection->answering() && !b_.connection->answering(); }, 10s));
  make_fresh(*a_.open(), *b_.open());
  world_.run_for(60ms);
  a_.connection->move_to(*a_.fresh);
  b_.connection->move_to(*b_.fresh);
  ASSERT_TRUE(until([&] { return a_.connection->answering() && b_.connection->answering(); }, 1s));
  EXPECT_LT(took_, 150ms);
  expect_everything_arrived();
}

TEST_F(Paths, CrossingMovesEndOnOnePath) {
  world_.set_default_path({.delay = 20ms});
  connect();
  a_.send(200000);
  UdpSocket &a1 = *a_.open(), &b1 = *b_.open(), &a2 = *a_.open(), &b2 = *b_.open();
  make_fresh(a1, b1);
  auto a_first = std::move(a_.fresh);
  auto b_first = std::move(b_.fresh);
  make_fresh(a2, b2);
  world_.run_for(100ms);
  a_.connection->move_to(*a_first);
  a_.connection->move_to(*a_.fresh);  // the other order at the other end
  b_.connection->move_to(*b_.fresh);
  b_.connection->move_to(*b_first);
  const auto agree = [&] {
    return a_.connection->stats().remote.port == b1.local_endpoint().port ? b_.connection->stats().remote == a_.at(a1)
                                                                          : b_.connection->stats().remote == a_.at(a2);
  };
  for (int i = 0; i < 10; ++i) {
    a_.send(1000);
    b_.send(1000);
    world_.run_for(200ms);
  }
  EXPECT_TRUE(agree());
  const Endpoint settled = a_.connection->stats().remote;
  for (int i = 0; i < 50; ++i) {
    a_.send(1000);
    b_.send(1000);
    world_.run_for(200ms);
    EXPECT_EQ(a_.connection->stats().remote, settled);
  }
  expect_everything_arrived();
}

TEST_F(Paths, FollowsAPeerWhoseAddressChanges) {
  world_.set_default_path({.delay = 20ms});
  connect();
  b_.send(4000000);
  a_.send(100000);
  world_.run_for(100ms);
  for (const char* address : {"10.0.0.77", "10.0.0.78", "10.0.0.79"}) {
    ha_.set_address(parse_ipv4(address).value());
    a_.send(1000);
    ASSERT_TRUE(until([&] { return b_.connection->stats().remote.address == ha_.address(); }, 5s));
    EXPECT_LT(took_, 1800ms);
    b_.send(1000000);
    world_.run_for(50ms);
  }
  expect_everything_arrived();
  EXPECT_EQ(b_.connection->stats().remote, a_.at(*a_.first));
}

TEST_F(Paths, AnAttackerCannotSteer) {
  world_.set_default_path({.delay = 20ms});
  connect();
  sim::Host& evil_host = world_.add_host("6.6.6.6");
  auto evil = std::move(*evil_host.open_udp({0, 666}));
  // Everything that A sends is copied on the way and sent again from elsewhere.
  struct Tap final : UdpReceiver {
    End& to;
    UdpSocket& evil;
    Endpoint target;
    Tap(End& e, UdpSocket& s) : to(e), evil(s), target(e.at(*e.first)) {}
    void on_datagram(UdpSocket& socket, const Endpoint& from, ByteView data) override {
      if (from.address != evil_address) evil.send(target, data);
      if (from.address == evil_address || !mute) to.on_datagram(socket, from, data);
    }
    void on_drained(UdpSocket& socket) override { to.on_drained(socket); }
    uint32_t evil_address = parse_ipv4("6.6.6.6").value();
    bool mute = false;
  } tap(b_, *evil);
  b_.first->set_receiver(&tap);
  const Endpoint home = a_.at(*a_.first);
  for (int i = 0; i < 100; ++i) {
    a_.send(5000);
    b_.send(5000);
    world_.run_for(100ms);
    ASSERT_EQ(b_.connection->stats().remote, home);
  }
  expect_everything_arrived();
  // Even when only the copies arrive: they cannot answer the challenge.
  tap.mute = true;
  const uint64_t before = world_.counters(hb_, evil_host).sent;
  for (int i = 0; i < 50; ++i) {
    a_.send(5000);
    world_.run_for(100ms);
    ASSERT_EQ(b_.connection->stats().remote, home);
  }
  const uint64_t challenges = world_.counters(hb_, evil_host).sent - before;
  EXPECT_GT(challenges, 0u);
  EXPECT_LT(challenges, 30u) << "challenges are bounded";
  b_.first->set_receiver(&b_);
}

/// Hands on whatever A or B sends to it to the other one, as fast as it can.
struct Forwarder final : UdpReceiver {
  Forwarder(sim::Host& host, End& a_end, End& b_end) : socket(std::move(*host.open_udp({0, 666}))), a(a_end), b(b_end) {
    socket->set_receiver(this);
  }
  ~Forwarder() override { socket->set_receiver(nullptr); }
  void on_datagram(UdpSocket&, const Endpoint& from, ByteView data) override {
    carried++;
    socket->send((from.address == a.host.address() ? b : a).at_first(), data);
  }
  void on_drained(UdpSocket&) override {}

  std::unique_ptr<UdpSocket> socket;
  End& a;
  End& b;
  int carried = 0;
};

/// Keeps the numbers of the last packet that came in.
struct Overhearing final : UdpReceiver {
  explicit Overhearing(End& e) : end(e) { end.first->set_receiver(this); }
  ~Overhearing() override { end.first->set_receiver(&end); }
  void on_datagram(UdpSocket& socket, const Endpoint& from, ByteView data) override {
    header.assign(data.begin(), data.begin() + 20);
    header[2] = header[3] = 0;  // a bare acknowledgement
    end.on_datagram(socket, from, data);
  }
  void on_drained(UdpSocket& socket) override { end.on_drained(socket); }

  End& end;
  Bytes header;
};

TEST_F(Paths, AnIdleConnectionIsNotLedOntoAForwarder) {
  sim::Host& evil_host = world_.add_host("6.6.6.6");
  for (const auto& [home_delay, evil_delay, loss] :
       {std::tuple<Duration, Duration, double>{20ms, 20ms, 0}, {20ms, 1ms, 0}, {150ms, 2ms, 0}, {20ms, 1ms, 0.1}}) {
    world_.set_default_path({.delay = evil_delay});
    world_.set_path(ha_, hb_, {.delay = home_delay, .loss = loss});
    Overhearing ear_a(a_), ear_b(b_);
    connect();
    a_.send(2000);
    b_.send(2000);
    const Endpoint home_a = a_.at_first(), home_b = b_.at_first();
    for (int i = 0; i < 20; ++i) {
      Forwarder evil(evil_host, a_, b_);
      world_.run_for(2500ms);
      for (int n = 0; n < 20; ++n) {
        evil.socket->send(n % 2 != 0 ? home_a : home_b, n % 2 != 0 ? ear_a.header : ear_b.header);
        world_.run_for(100ms);
        ASSERT_EQ(a_.connection->stats().remote, home_b);
        ASSERT_EQ(b_.connection->stats().remote, home_a);
      }
      EXPECT_GT(evil.carried, 0) << "they do look whether the other one is there";
      EXPECT_LT(evil.carried, 80);
    }
  }
}

}  // namespace
}  // namespace hg::noise
