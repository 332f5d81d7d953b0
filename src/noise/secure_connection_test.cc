#include "noise/secure_connection.h"

#include <gtest/gtest.h>

#include "sim/world.h"
#include "support/vectors.h"

namespace hg::noise {
namespace {

using test::hex_array;
using test::hex_bytes;

/// A UDX stream that only remembers what was asked of it.
class FakeStream final : public udx::Stream {
 public:
  explicit FakeStream(Runtime& runtime) : runtime_(runtime) {}
  ~FakeStream() override {
    if (gone != nullptr) *gone = true;
  }

  void set_handler(ByteStreamHandler* handler) override { handler_ = handler; }
  bool write(Buffer bytes) override {
    append_bytes(sent, bytes.view());
    last_address = bytes.data();
    return !full;
  }
  size_t write_headroom() const override { return 0; }
  size_t write_tailroom() const override { return 0; }
  size_t queued_bytes() const override { return 0; }
  void pause_reading() override { paused = true; }
  void resume_reading() override { paused = false; }
  void end() override { ended = true; }
  void destroy() override {
    if (std::exchange(destroyed, true)) return;
    runtime_.post([this, alive = std::weak_ptr<int>(alive_)] {
      if (!alive.expired()) handler_->on_close(std::nullopt);
    });
  }
  uint32_t id() const override { return 1; }
  void set_firewall(udx::Firewall) override {}
  void connect(UdpSocket&, const Endpoint&, uint32_t) override {}
  bool connected() const override { return true; }
  void change_remote(UdpSocket&, const Endpoint&, uint32_t, std::function<void()>) override {}
  void relocate(UdpSocket& at, const Endpoint& to, uint32_t) override {
    place = {&at, to};
    relocations++;
  }
  void retry_now() override {}
  UdpSocket* socket() const override { return place.first; }
  Endpoint remote() const override { return place.second; }
  uint32_t remote_id() const override { return 2; }
  bool send_message(ByteView message) override {
    messages.push_back(to_bytes(message));
    return true;
  }
  bool send_message_to(UdpSocket& at, const Endpoint& to, ByteView message) override {
    elsewhere.push_back({{&at, to}, to_bytes(message)});
    return true;
  }
  void set_message_handler(std::function<void(ByteView)> handler) override { on_message = std::move(handler); }
  void set_packet_observer(PacketObserver observer) override { on_packet = std::move(observer); }
  TimePoint last_heard() const override { return heard; }
  std::optional<TimePoint> owed_since() const override { return owed; }
  void set_receive_window(size_t bytes) override { window = bytes; }
  void set_dead_after(Duration) override {}
  void probe_peer() override { probes++; }
  udx::StreamStats stats() const override { return {}; }

  ByteStreamHandler& handler() { return *handler_; }

  Bytes sent;
  const uint8_t* last_address = nullptr;
  size_t window = SecureConnection::kUnprovenWindow;
  bool full = false;
  bool paused = false;
  bool ended = false;
  bool destroyed = false;
  bool* gone = nullptr;
  int probes = 0;
  TimePoint heard{};
  std::optional<TimePoint> owed;
  std::vector<Bytes> messages;
  std::vector<std::pair<std::pair<UdpSocket*, Endpoint>, Bytes>> elsewhere;  // messages to other places
  std::function<void(ByteView)> on_message;
  PacketObserver on_packet;
  std::pair<UdpSocket*, Endpoint> place{nullptr, Endpoint::loopback(7)};
  int relocations = 0;

 private:
  Runtime& runtime_;
  ByteStreamHandler* handler_ = nullptr;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

struct Recorder final : ByteStreamHandler {
  void on_open() override { opened++; }
  void on_data(ByteView data) override {
    messages.push_back(to_bytes(data));
    if (on_message) on_message();
  }
  void on_data_end_of_burst() override { bursts++; }
  void on_end() override { ends++; }
  void on_drain() override { drains++; }
  void on_close(const std::optional<Error>& error) override {
    closes++;
    close_error = error;
  }

  std::vector<Bytes> messages;
  std::function<void()> on_message;
  int opened = 0, bursts = 0, ends = 0, drains = 0, closes = 0;
  std::optional<Error> close_error;
};

/// The header the vectors recorded, then a seeded stream.
class HeaderHost final : public Runtime {
 public:
  HeaderHost(Runtime& inner, const ByteArray<24>& header) : inner_(inner), rng_(header) {}
  TimePoint now() const override { return inner_.now(); }
  int64_t wall_ms() const override { return inner_.wall_ms(); }
  TimerQueue& timers() override { return inner_.timers(); }
  Rng& rng() override { return rng_; }
  UdpNetwork& network() override { return inner_.network(); }
  void post(std::function<void()> task) override { inner_.post(std::move(task)); }

 private:
  class Fixed final : public Rng {
   public:
    explicit Fixed(const ByteArray<24>& bytes) : bytes_(bytes) {}
    void fill(MutableBytes out) override {
      ASSERT_LE(out.size(), bytes_.size());
      std::copy_n(bytes_.begin(), out.size(), out.begin());
    }

   private:
    ByteArray<24> bytes_;
  };
  Runtime& inner_;
  Fixed rng_;
};

SessionKeys keys_of(const boost::json::value& role, bool initiator) {
  SessionKeys keys;
  keys.is_initiator = initiator;
  keys.tx = hex_array<32>(role.at("tx_key"));
  keys.rx = hex_array<32>(role.at("rx_key"));
  keys.handshake_hash = hex_array<64>(role.at("handshake_hash"));
  return keys;
}

class Secure : public ::testing::Test {
 protected:
  struct Side {
    FakeStream* raw = nullptr;
    std::unique_ptr<SecureConnection> connection;
    Recorder recorder;
  };

  void SetUp() override { crypto::init(); }

  void make(Side& side, bool initiator, bool with_handler = true) {
    const auto& role = v_.at(initiator ? "client" : "server");
    auto stream = std::make_unique<FakeStream>(host_);
    side.raw = stream.get();
    side.connection = std::make_unique<SecureConnection>(host_, std::move(stream), keys_of(role, initiator));
    if (with_handler) side.connection->set_handler(&side.recorder);
  }
  void make_pair() {
    make(a_, true);
    make(b_, false);
  }
  /// Moves what was written since the last call, `step` bytes at a time.
  void carry(Side& from, Side& to, size_t step = SIZE_MAX) {
    const Bytes bytes = std::exchange(from.raw->sent, {});
    feed(to, bytes, step);
  }
  static void feed(Side& to, ByteView bytes, size_t step = SIZE_MAX) {
    while (!bytes.empty()) {
      const ByteView part = bytes.first(std::min(step, bytes.size()));
      to.raw->handler().on_data(part);
      bytes = bytes.subspan(part.size());
    }
    to.raw->handler().on_data_end_of_burst();
  }
  void open() {
    make_pair();
    carry(a_, b_);
    carry(b_, a_);
    ASSERT_TRUE(a_.connection->open());
    ASSERT_TRUE(b_.connection->open());
  }

  const boost::json::value v_ = test::load_vectors("secret-stream");
  sim::World world_{5};
  sim::Host& host_ = world_.add_host("10.0.0.1");
  Side a_, b_;
};

TEST_F(Secure, WritesTheReferencesBytesInBothRoles) {
  for (const bool initiator : {true, false}) {
    const auto& role = v_.at(initiator ? "client" : "server");
    HeaderHost host(host_, hex_array<24>(role.at("secretstream_header")));
    auto stream = std::make_unique<FakeStream>(host);
    FakeStream* raw = stream.get();
    SecureConnection connection(host, std::move(stream), keys_of(role, initiator));
    Bytes expected = hex_bytes(role.at("header_frame"));
    EXPECT_EQ(raw->sent, expected);
    for (const auto& plain : role.at("plaintexts").as_array()) connection.write(Buffer::copy_of(hex_bytes(plain)));
    for (const auto& frame : role.at("frames").as_array()) append_bytes(expected, hex_bytes(frame));
    EXPECT_EQ(raw->sent, expected);
  }
}

TEST_F(Secure, ReadsTheReferencesBytesInSevenBytePieces) {
  for (const bool initiator : {true, false}) {
    const auto& sender = v_.at(initiator ? "server" : "client");
    Side side;
    make(side, initiator);
    Bytes wire = hex_bytes(sender.at("header_frame"));
    for (const auto& frame : sender.at("frames").as_array()) append_bytes(wire, hex_bytes(frame));
    feed(side, wire, 7);
    EXPECT_EQ(side.recorder.opened, 1);
    std::vector<Bytes> expected;
    for (const auto& plain : sender.at("plaintexts").as_array())
      if (!plain.as_string().empty()) expected.push_back(hex_bytes(plain));  // empty ones are keepalives
    EXPECT_EQ(side.recorder.messages, expected);
    EXPECT_EQ(side.connection->messages_received(), sender.at("plaintexts").as_array().size());
    EXPECT_EQ(side.recorder.closes, 0);
  }
}

TEST_F(Secure, BoundariesSurviveEveryCut) {
  open();
  std::vector<Bytes> expected;
  for (const size_t step : {size_t{1}, size_t{2}, size_t{5}, size_t{1152}, SIZE_MAX}) {
    for (const size_t size : {size_t{1}, size_t{16}, size_t{1135}, size_t{70000}}) {
      expected.push_back(Bytes(size, static_cast<uint8_t>(size)));
      a_.connection->write(Buffer::copy_of(expected.back()));
    }
    carry(a_, b_, step);
  }
  EXPECT_EQ(b_.recorder.messages, expected);
}

TEST_F(Secure, SealsInPlaceWhenThereIsRoom) {
  open();
  Buffer roomy = Buffer::with_room(a_.connection->write_headroom(), 100 + a_.connection->write_tailroom());
  roomy.append(Bytes(100, 7));
  const uint8_t* start = roomy.data() - SecureConnection::kHeadroom;
  a_.connection->write(std::move(roomy));
  EXPECT_EQ(a_.raw->last_address, start);
  Buffer tight = Buffer::copy_of(Bytes(100, 8));
  const uint8_t* tight_start = tight.data();
  a_.connection->write(std::move(tight));
  EXPECT_NE(a_.raw->last_address, tight_start);
  carry(a_, b_);
  EXPECT_EQ(b_.recorder.messages, (std::vector<Bytes>{Bytes(100, 7), Bytes(100, 8)}));
}

TEST_F(Secure, WritesBeyondOneUnitAreSplit) {
  open();
  a_.connection->write(Buffer::copy_of(Bytes(SecureConnection::kMaxMessage + 5, 1)));
  carry(a_, b_, 1 << 20);
  ASSERT_EQ(b_.recorder.messages.size(), 2u);
  EXPECT_EQ(b_.recorder.messages[0].size(), SecureConnection::kMaxMessage);
  EXPECT_EQ(b_.recorder.messages[1].size(), 5u);
}

TEST_F(Secure, AForeignHeaderCloses) {
  for (const size_t at : {size_t{0}, size_t{3}, size_t{34}}) {
    Side side;
    make(side, false);
    Bytes wire = hex_bytes(v_.at("client").at("header_frame"));
    wire[at] ^= 1;
    feed(side, wire);
    world_.run_for(1ms);
    EXPECT_EQ(side.recorder.opened, 0);
    EXPECT_EQ(side.recorder.closes, 1);
    ASSERT_TRUE(side.recorder.close_error);
    EXPECT_EQ(side.recorder.close_error->code, "INVALID_HEADER");
  }
}

TEST_F(Secure, WhatIsNoHeaderIsRefusedByItsLength) {
  make(a_, true);
  feed(a_, Bytes{0xff, 0xff, 0xff}, 1);
  world_.run_for(1ms);
  ASSERT_TRUE(a_.recorder.close_error);
  EXPECT_EQ(a_.recorder.close_error->code, "INVALID_HEADER");
  EXPECT_EQ(a_.raw->window, SecureConnection::kUnprovenWindow);
}

TEST_F(Secure, TheWindowOpensWithTheHeader) {
  make_pair();
  carry(a_, b_, 20);
  EXPECT_EQ(b_.raw->window, udx::StreamOptions{}.receive_window);
  EXPECT_EQ(a_.raw->window, SecureConnection::kUnprovenWindow);
}

TEST_F(Secure, OurOwnHeaderReflectedIsRefused) {
  make(a_, true);
  feed(a_, std::exchange(a_.raw->sent, {}));
  world_.run_for(1ms);
  ASSERT_TRUE(a_.recorder.close_error);
  EXPECT_EQ(a_.recorder.close_error->code, "INVALID_HEADER");
}

TEST_F(Secure, AForgedMessageClosesAndNothingFollows) {
  open();
  a_.connection->write(Buffer::copy_of(Bytes(10, 1)));
  a_.connection->write(Buffer::copy_of(Bytes(10, 2)));
  a_.raw->sent[12] ^= 1;
  carry(a_, b_);
  world_.run_for(1ms);
  EXPECT_TRUE(b_.recorder.messages.empty());
  EXPECT_EQ(b_.recorder.closes, 1);
  EXPECT_EQ(b_.recorder.close_error->code, "INVALID_MESSAGE");
}

TEST_F(Secure, AMessageShorterThanItsOverheadCloses) {
  open();
  feed(b_, Bytes{16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  world_.run_for(1ms);
  EXPECT_EQ(b_.recorder.close_error->code, "INVALID_MESSAGE");
}

TEST_F(Secure, AClaimedLengthAllocatesNothing) {
  open();
  feed(b_, Bytes{0xff, 0xff, 0xff, 1, 2, 3});
  EXPECT_LT(b_.connection->reassembly_bytes(), 1024u);
}

TEST_F(Secure, AMessageBeyondTheLimitIsNotGathered) {
  for (const size_t cut : {size_t{1}, size_t{1152}, SIZE_MAX}) {
    b_.recorder = {};
    open();
    b_.connection->limit_messages(4096);
    a_.connection->write(Buffer::copy_of(Bytes(4096, 1)));
    a_.connection->write(Buffer::copy_of(Bytes(4097, 2)));
    a_.connection->write(Buffer::copy_of(Bytes(10, 3)));
    carry(a_, b_, cut);
    world_.run_for(1ms);
    ASSERT_EQ(b_.recorder.messages.size(), 1u) << cut;
    EXPECT_EQ(b_.recorder.messages[0].size(), 4096u);
    ASSERT_TRUE(b_.recorder.close_error);
    EXPECT_EQ(b_.recorder.close_error->code, "MESSAGE_TOO_LONG");
    EXPECT_LT(b_.connection->reassembly_bytes(), 16384u);
  }
}

TEST_F(Secure, AHeaderThatClaimsTooMuchCloses) {
  make(a_, true);
  feed(a_, Bytes{57, 0, 0});
  world_.run_for(1ms);
  ASSERT_TRUE(a_.recorder.close_error);
  EXPECT_EQ(a_.recorder.close_error->code, "INVALID_HEADER");
}

TEST_F(Secure, AMessageThatClaimsMoreThanAllowedCloses) {
  open();
  b_.connection->limit_messages(100);
  a_.connection->write(Buffer::copy_of(Bytes(100, 1)));
  a_.connection->write(Buffer::copy_of(Bytes(101, 1)));
  a_.raw->sent.resize(a_.raw->sent.size() - 100);  // its length is enough
  carry(a_, b_, 5);
  world_.run_for(1ms);
  EXPECT_EQ(b_.recorder.messages.size(), 1u);
  ASSERT_TRUE(b_.recorder.close_error);
  EXPECT_EQ(b_.recorder.close_error->code, "MESSAGE_TOO_LONG");
}

TEST_F(Secure, MemoryOfABigMessageIsGivenBackWhenIdle) {
  open();
  a_.connection->write(Buffer::copy_of(Bytes(1 << 20, 1)));
  carry(a_, b_, 1152);
  EXPECT_GE(b_.connection->reassembly_bytes(), size_t{1} << 20);
  for (int i = 0; i < 4; ++i) {
    b_.raw->heard = host_.now();
    world_.run_for(3s);
  }
  EXPECT_EQ(b_.connection->reassembly_bytes(), 0u);
  a_.connection->write(Buffer::copy_of(Bytes(10, 1)));
}

TEST_F(Secure, PausedMidChunkNothingIsLostAndOrderIsKept) {
  open();
  for (uint8_t i = 0; i < 5; ++i) a_.connection->write(Buffer::copy_of(Bytes(10, i)));
  b_.recorder.on_message = [this] {
    if (b_.recorder.messages.size() == 2) b_.connection->pause_reading();
  };
  carry(a_, b_);
  EXPECT_EQ(b_.recorder.messages.size(), 2u);
  EXPECT_TRUE(b_.raw->paused);
  b_.raw->handler().on_end();
  world_.run_for(1ms);
  EXPECT_EQ(b_.recorder.ends, 0);
  b_.connection->resume_reading();
  world_.run_for(1ms);
  ASSERT_EQ(b_.recorder.messages.size(), 5u);
  for (uint8_t i = 0; i < 5; ++i) EXPECT_EQ(b_.recorder.messages[i], Bytes(10, i));
  EXPECT_EQ(b_.recorder.ends, 1);
}

TEST_F(Secure, AGracefulCloseDoesNotOvertakeUnreadData) {
  open();
  a_.connection->write(Buffer::copy_of(Bytes(10, 1)));
  b_.connection->pause_reading();
  carry(a_, b_);
  b_.raw->handler().on_end();
  b_.raw->handler().on_close(std::nullopt);
  EXPECT_EQ(b_.recorder.closes, 0);
  b_.connection->resume_reading();
  world_.run_for(1ms);
  EXPECT_EQ(b_.recorder.messages.size(), 1u);
  EXPECT_EQ(b_.recorder.closes, 1);
  EXPECT_FALSE(b_.recorder.close_error);
}

TEST_F(Secure, WithoutAHandlerItWaits) {
  make(a_, true);
  make(b_, false, false);
  a_.connection->write(Buffer::copy_of(Bytes(3, 1)));
  carry(a_, b_);
  EXPECT_TRUE(b_.connection->open());
  EXPECT_TRUE(b_.raw->paused);
  b_.connection->set_handler(&b_.recorder);
  world_.run_for(1ms);
  EXPECT_EQ(b_.recorder.messages, (std::vector<Bytes>{Bytes(3, 1)}));
  EXPECT_FALSE(b_.raw->paused);
}

TEST_F(Secure, AHandlerThatComesLateHearsOfOpenAndClose) {
  make(a_, true);
  make(b_, false, false);
  carry(a_, b_);
  b_.connection->destroy(Error{"X", "x"});
  world_.run_for(1ms);
  b_.connection->set_handler(&b_.recorder);
  world_.run_for(1ms);
  EXPECT_EQ(b_.recorder.closes, 1);
  EXPECT_EQ(b_.recorder.close_error->code, "X");

  Side c;
  make(c, false, false);
  feed(c, hex_bytes(v_.at("client").at("header_frame")));
  c.connection->set_handler(&c.recorder);
  world_.run_for(1ms);
  EXPECT_EQ(c.recorder.opened, 1);
}

TEST_F(Secure, KeepalivesGoOutEveryFiveSecondsWithoutAWriteAndAreSwallowed) {
  open();
  const auto run = [this](Duration span) {
    for (Duration t{}; t < span; t += 500ms) {
      a_.raw->heard = host_.now();
      b_.raw->heard = host_.now();
      world_.run_for(500ms);
    }
  };
  run(4500ms);
  a_.connection->write(Buffer::copy_of(Bytes(1, 1)));
  a_.raw->sent.clear();
  run(4500ms);
  EXPECT_TRUE(a_.raw->sent.empty()) << "a write postpones the keepalive";
  run(1s);
  EXPECT_EQ(a_.raw->sent.size(), 20u) << "one empty message";
  run(10s);
  EXPECT_EQ(a_.raw->sent.size(), 60u);
  EXPECT_EQ(a_.raw->probes, 0) << "a peer that is heard is not probed";
}

TEST_F(Secure, ASilentPeerIsProbedAndGivenUpInLessThanTenSeconds) {
  open();
  const TimePoint start = host_.now();
  a_.raw->heard = start;
  EXPECT_TRUE(world_.run_until([this] { return a_.raw->probes > 0; }, 5s));
  EXPECT_GE(host_.now() - start, Liveness::kAskAfter);
  EXPECT_TRUE(world_.run_until([this] { return a_.recorder.closes > 0; }, 20s));
  EXPECT_EQ(a_.raw->probes, Liveness::kAsksBeforeDead);
  EXPECT_LT(host_.now() - start, 10s);
  EXPECT_EQ(a_.recorder.close_error->code, "ETIMEDOUT");
}

TEST_F(Secure, AnAnswerToAProbeKeepsItAlive) {
  open();
  for (int i = 0; i < 10; ++i) {
    const int before = a_.raw->probes;
    ASSERT_TRUE(world_.run_until([&] { return a_.raw->probes > before; }, 10s));
    a_.raw->heard = host_.now();
  }
  EXPECT_EQ(a_.recorder.closes, 0);
}

TEST_F(Secure, WhenTheOtherSideEndsWeEnd) {
  open();
  b_.raw->handler().on_end();
  EXPECT_EQ(b_.recorder.ends, 1);
  EXPECT_TRUE(b_.raw->ended);
}

TEST_F(Secure, TheCloseObserverHearsOfEveryWayOut) {
  int heard = 0;
  make_pair();
  a_.connection->set_close_observer([&](const std::optional<Error>&) { heard++; });
  a_.connection->destroy();
  world_.run_for(1ms);
  EXPECT_EQ(heard, 1);
  EXPECT_EQ(a_.recorder.closes, 1);
  b_.connection->set_close_observer([&](const std::optional<Error>&) { heard++; });
  bool gone = false;
  b_.raw->gone = &gone;
  b_.connection.reset();
  EXPECT_EQ(heard, 2);
  EXPECT_TRUE(gone);
  EXPECT_EQ(b_.recorder.closes, 0) << "destroying the object silences it";
}

TEST_F(Secure, UnorderedEnvelopesEqualTheReference) {
  for (const bool initiator : {true, false}) {
    const auto& role = v_.at(initiator ? "client" : "server");
    const auto& u = role.at("unordered");
    const Hash64 hash = hex_array<64>(role.at("handshake_hash"));
    EXPECT_EQ(unordered_key(hash, initiator), hex_array<32>(u.at("encrypt_key")));
    EXPECT_EQ(unordered_key(hash, !initiator), hex_array<32>(u.at("decrypt_key")));
    UnorderedBox sender(hash, initiator, hex_array<8>(u.at("counter_before")));
    UnorderedBox receiver(hash, !initiator, {});
    for (const auto& m : u.at("messages").as_array()) {
      const Bytes envelope = sender.seal(hex_bytes(m.at("plain")));
      EXPECT_EQ(envelope, hex_bytes(m.at("envelope")));
      EXPECT_EQ(receiver.open(envelope), hex_bytes(m.at("plain")));
      EXPECT_FALSE(sender.open(envelope)) << "the two directions have keys of their own";
      for (size_t n = 0; n < envelope.size(); ++n) EXPECT_FALSE(receiver.open(ByteView(envelope).first(n)));
    }
  }
}

TEST_F(Secure, UnorderedMessagesPassAndForgeriesVanish) {
  open();
  std::vector<Bytes> got;
  b_.connection->set_unordered_handler([&](ByteView m) { got.push_back(to_bytes(m)); });
  EXPECT_TRUE(a_.connection->send_unordered(Bytes(4, 9)));
  b_.raw->on_message(a_.raw->messages.at(0));
  b_.raw->on_message({});
  a_.raw->messages[0][9] ^= 1;
  b_.raw->on_message(a_.raw->messages[0]);
  EXPECT_EQ(got, (std::vector<Bytes>{Bytes(4, 9)}));
}

}  // namespace
}  // namespace hg::noise
