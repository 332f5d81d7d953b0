// For tests: the two sides of a SecureConnection, over streams that only remember what was asked of them, with the keys of the vectors.
#pragma once

#include <gtest/gtest.h>

#include "noise/secure_connection.h"
#include "sim/world.h"
#include "support/vectors.h"

namespace hg::noise::test {

using hg::test::hex_array;
using hg::test::hex_bytes;

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

inline SessionKeys keys_of(const boost::json::value& role, bool initiator) {
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

  const boost::json::value v_ = hg::test::load_vectors("secret-stream");
  sim::World world_{5};
  sim::Host& host_ = world_.add_host("10.0.0.1");
  Side a_, b_;
};

}  // namespace hg::noise::test
