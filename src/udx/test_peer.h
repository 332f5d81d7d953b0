// Two ends of a UDX stream for tests, on any Runtime: a socket with its Mux, and an application that sends and checks a
// byte pattern that depends on the position. Header-only, used by tests only.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "base/runtime.h"
#include "udx/udx.h"

namespace hg::udx::test {

inline uint8_t pattern_at(uint64_t position) { return static_cast<uint8_t>(position * 167 + (position >> 8) * 13 + (position >> 16) * 7); }

inline Buffer pattern(uint64_t position, size_t size) {
  Buffer buffer = Buffer::with_room(0, size);
  buffer.grow(size);
  for (size_t i = 0; i < size; ++i) buffer.data()[i] = pattern_at(position + i);
  return buffer;
}

inline Buffer blank(size_t size) {
  Buffer buffer = Buffer::with_room(0, size);
  std::fill_n(buffer.tail().data(), size, uint8_t{0});
  buffer.grow(size);
  return buffer;
}

/// A socket whose sends a test can refuse.
class FlakySocket final : public UdpSocket, public UdpReceiver {
 public:
  explicit FlakySocket(std::unique_ptr<UdpSocket> inner) : inner_(std::move(inner)) { inner_->set_receiver(this); }

  Endpoint local_endpoint() const override { return inner_->local_endpoint(); }
  void set_receiver(UdpReceiver* receiver) override { receiver_ = receiver; }
  SendResult send(const Endpoint& to, ByteView data, int ttl) override {
    const SendResult result = judge(data.size());
    return result == SendResult::kSent ? inner_->send(to, data, ttl) : result;
  }
  SendResult send_fragmentable(const Endpoint& to, ByteView data) override {
    ++fragmentable;
    return inner_->send_fragmentable(to, data);
  }
  size_t max_segments() const override { return inner_->max_segments(); }
  size_t max_segment_bytes() const override { return inner_->max_segment_bytes(); }
  SendResult send_segments(const Endpoint& to, std::span<const ByteView> slices, size_t segment) override {
    size_t total = 0;
    for (ByteView slice : slices) total += slice.size();
    ++runs;
    datagrams += static_cast<int>((total + segment - 1) / segment);
    const SendResult result = judge(segment);
    return result == SendResult::kSent ? inner_->send_segments(to, slices, segment) : result;
  }
  void on_writable(std::function<void()> callback) override { waiting.push_back(std::move(callback)); }
  size_t path_mtu(const Endpoint&) const override { return interface_mtu; }
  void on_datagram(UdpSocket&, const Endpoint& from, ByteView data) override {
    if (receiver_ != nullptr) receiver_->on_datagram(*this, from, data);
  }
  void on_drained(UdpSocket&) override {
    if (receiver_ != nullptr) receiver_->on_drained(*this);
  }
  void become_writable() {
    for (auto& callback : std::exchange(waiting, {})) callback();
  }

  SendResult verdict = SendResult::kSent;
  size_t too_big_above = 65535;  // UDP payload
  size_t interface_mtu = 0;
  int runs = 0;
  int datagrams = 0;
  int fragmentable = 0;
  std::vector<std::function<void()>> waiting;

 private:
  SendResult judge(size_t datagram) const { return datagram > too_big_above ? SendResult::kTooBig : verdict; }

  std::unique_ptr<UdpSocket> inner_;
  UdpReceiver* receiver_ = nullptr;
};

/// One socket with its Mux.
class Peer : public UdpReceiver {
 public:
  explicit Peer(Runtime& runtime_in) : runtime(runtime_in), mux(runtime_in), socket(open()) {}
  ~Peer() override { socket->set_receiver(nullptr); }

  void on_datagram(UdpSocket& at, const Endpoint& from, ByteView data) override {
    if (on_raw && on_raw(from, data)) return;
    if (!mux.on_datagram(at, from, data)) ++strays;
  }
  void on_drained(UdpSocket&) override { mux.on_drained(); }
  std::unique_ptr<FlakySocket> open() {
    auto opened = runtime.network().open_udp({0, 0});
    auto made = std::make_unique<FlakySocket>(std::move(*opened));
    made->set_receiver(this);
    return made;
  }

  Runtime& runtime;
  Mux mux;
  std::unique_ptr<FlakySocket> socket;
  std::function<bool(const Endpoint&, ByteView)> on_raw;  // true: swallow
  int strays = 0;
};

/// Sends `to_send` bytes of the pattern as fast as write() allows, and checks what arrives.
class App : public ByteStreamHandler {
 public:
  App(Peer& peer_in, const StreamOptions& options = {}) : peer(peer_in), stream(peer_in.mux.create_stream(options)) {
    stream->set_handler(this);
  }

  void send(uint64_t bytes, bool then_end = false, size_t chunk = 64 << 10) {
    to_send += bytes;
    end_after = then_end;
    chunk_size = chunk;
    pump();
  }
  void pump() {
    while (sent < to_send) {
      const size_t size = static_cast<size_t>(std::min<uint64_t>(chunk_size, to_send - sent));
      const uint64_t at = sent;
      sent += size;
      if (!stream->write(content ? pattern(at, size) : blank(size))) return;
    }
    if (end_after && !end_called) {
      end_called = true;
      stream->end();
    }
  }
  void on_data(ByteView data) override {
    if (!content)
      received += data.size();
    else
      for (uint8_t byte : data)
        if (byte != pattern_at(received++)) intact = false;
    if (finished_receiving_at == TimePoint{} && expect > 0 && received >= expect) finished_receiving_at = peer.runtime.now();
  }
  void on_data_end_of_burst() override { ++bursts; }
  void on_end() override {
    ended = true;
    if (end_when_ended) stream->end();
  }
  void on_drain() override {
    ++drains;
    pump();
  }
  void on_close(const std::optional<Error>& error) override {
    ++closes;
    closed_at = peer.runtime.now();
    if (error) close_code = error->code;
  }

  Peer& peer;
  std::unique_ptr<Stream> stream;
  uint64_t to_send = 0;
  uint64_t sent = 0;
  size_t chunk_size = 64 << 10;
  bool end_after = false;
  bool end_called = false;
  uint64_t received = 0;
  uint64_t expect = 0;
  TimePoint finished_receiving_at{};
  bool intact = true;
  bool content = true;  // off: bytes are neither made nor checked, for long runs
  bool ended = false;
  bool end_when_ended = false;
  int bursts = 0;
  int drains = 0;
  int closes = 0;
  TimePoint closed_at{};
  std::string close_code;
};

inline void join(App& a, App& b, uint32_t a_address, uint32_t b_address) {
  a.stream->connect(*a.peer.socket, {b_address, b.peer.socket->local_endpoint().port}, b.stream->id());
  b.stream->connect(*b.peer.socket, {a_address, a.peer.socket->local_endpoint().port}, a.stream->id());
}

}  // namespace hg::udx::test
