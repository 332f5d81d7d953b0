// An encrypted connection fed by a hostile stream: first byte chooses whether the true header precedes the
// input, the rest arrives in pieces. Memory must follow what was received, and nothing forged be delivered.
#include <cstdlib>

#include "crypto/crypto.h"
#include "noise/frame_reader.h"
#include "noise/secure_connection.h"
#include "sim/world.h"

namespace {

using namespace hg;

/// A stream whose incoming side is the fuzzer's.
class Source final : public udx::Stream {
 public:
  void set_handler(ByteStreamHandler* handler) override { handler_ = handler; }
  bool write(Buffer bytes) override {
    append_bytes(sent, bytes.view());
    return true;
  }
  size_t write_headroom() const override { return 0; }
  size_t write_tailroom() const override { return 0; }
  size_t queued_bytes() const override { return 0; }
  void pause_reading() override {}
  void resume_reading() override {}
  void end() override {}
  void destroy() override { destroyed = true; }
  uint32_t id() const override { return 1; }
  void set_firewall(udx::Firewall) override {}
  void connect(UdpSocket&, const Endpoint&, uint32_t) override {}
  bool connected() const override { return true; }
  void change_remote(UdpSocket&, const Endpoint&, uint32_t, std::function<void()>) override {}
  void relocate(UdpSocket&, const Endpoint&, uint32_t) override {}
  void retry_now() override {}
  UdpSocket* socket() const override { return nullptr; }
  Endpoint remote() const override { return {}; }
  uint32_t remote_id() const override { return 2; }
  bool send_message(ByteView) override { return true; }
  bool send_message_to(UdpSocket&, const Endpoint&, ByteView) override { return true; }
  void set_message_handler(std::function<void(ByteView)>) override {}
  void set_packet_observer(PacketObserver) override {}
  TimePoint last_heard() const override { return {}; }
  std::optional<TimePoint> owed_since() const override { return std::nullopt; }
  void set_receive_window(size_t) override {}
  void set_dead_after(Duration) override {}
  void probe_peer() override {}
  udx::StreamStats stats() const override { return {}; }
  void feed(ByteView bytes) {
    if (!destroyed) handler_->on_data(bytes);
  }

  Bytes sent;
  bool destroyed = false;

 private:
  ByteStreamHandler* handler_ = nullptr;
};

struct Sink final : ByteStreamHandler {
  void on_data(ByteView) override { std::abort(); }
  void on_close(const std::optional<Error>&) override {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  crypto::init();
  if (size < 2) return 0;
  sim::World world(1);
  sim::Host& host = world.add_host("10.0.0.1");
  noise::SessionKeys keys;
  keys.tx.fill(1);
  keys.rx.fill(2);
  auto owned = std::make_unique<Source>();
  Source* source = owned.get();
  noise::SecureConnection connection(host, std::move(owned), keys);
  Sink sink;
  connection.set_handler(&sink);
  if (data[0] & 1) {
    noise::SessionKeys other = keys;
    std::swap(other.tx, other.rx);
    other.is_initiator = true;
    auto mirror = std::make_unique<Source>();
    Source* there = mirror.get();
    noise::SecureConnection peer(host, std::move(mirror), other);
    source->feed(there->sent);
    if (!connection.open()) std::abort();
  }
  const size_t step = 1 + (data[0] >> 1);
  size_t fed = 0;
  for (ByteView rest(data + 1, size - 1); !rest.empty() && !source->destroyed;) {
    const ByteView part = rest.first(std::min(step, rest.size()));
    source->feed(part);
    fed += part.size();
    if (connection.reassembly_bytes() > 2 * fed + 256) std::abort();
    rest = rest.subspan(part.size());
  }
  return 0;
}
