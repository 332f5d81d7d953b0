// One end of a UDX stream over a real socket, for run.mjs: told everything by the command line, says what happens as one JSON
// object per line on standard output.
//
//   udx_peer remote_port=P remote_id=I [send=BYTES] [end=1] [end_on_end=1] [pause_ms=T] [destroy_at=BYTES] [messages=N]
//            [echo_messages=1] [window=BYTES] [listen=1] [idle_ms=T] [pulse_ms=T]
//
// listen=1 does not connect() before the first packet was let in by the firewall. pulse_ms writes a few bytes again and again.
// Ends when the stream closes, or after idle_ms.
#include <openssl/evp.h>

#include <cstdio>
#include <map>
#include <random>
#include <string>

#include "base/rng.h"
#include "io/loop.h"
#include "udx/udx.h"

namespace {

using namespace hg;

class Arguments {
 public:
  Arguments(int count, char** values) {
    for (int i = 1; i < count; ++i) {
      const std::string text = values[i];
      const size_t equals = text.find('=');
      if (equals != std::string::npos) values_[text.substr(0, equals)] = std::stoull(text.substr(equals + 1));
    }
  }
  uint64_t number(const std::string& name, uint64_t otherwise = 0) const {
    const auto found = values_.find(name);
    return found == values_.end() ? otherwise : found->second;
  }

 private:
  std::map<std::string, uint64_t> values_;
};

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_, EVP_sha256(), nullptr); }
  ~Sha256() { EVP_MD_CTX_free(context_); }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void add(ByteView bytes) { EVP_DigestUpdate(context_, bytes.data(), bytes.size()); }
  std::string hex() {
    ByteArray<32> out;
    EVP_DigestFinal_ex(context_, out.data(), nullptr);
    return to_hex(out);
  }

 private:
  EVP_MD_CTX* context_;
};

class Peer final : public UdpReceiver, public ByteStreamHandler {
 public:
  explicit Peer(const Arguments& arguments)
      : arguments_(arguments), rng_(std::random_device{}()), loop_(rng_), mux_(loop_), timer_(loop_.timers(), [this] { on_timer(); }) {
    socket_ = std::move(*loop_.network().open_udp(Endpoint::loopback(0)));
    socket_->set_receiver(this);
    udx::StreamOptions options;
    options.receive_window = arguments_.number("window", options.receive_window);
    stream_ = mux_.create_stream(options);
    stream_->set_handler(this);
    stream_->set_message_handler([this](ByteView message) { on_message(message); });
  }

  int run() {
    std::printf("{\"event\":\"ready\",\"port\":%u,\"id\":%u}\n", socket_->local_endpoint().port, stream_->id());
    std::fflush(stdout);
    const Endpoint remote = Endpoint::loopback(static_cast<uint16_t>(arguments_.number("remote_port")));
    const auto remote_id = static_cast<uint32_t>(arguments_.number("remote_id"));
    if (arguments_.number("listen")) {
      stream_->set_firewall([this, remote, remote_id](UdpSocket& socket, const Endpoint&) {
        if (!stream_->connected()) stream_->connect(socket, remote, remote_id);
        return true;
      });
    } else {
      stream_->connect(*socket_, remote, remote_id);
    }
    to_send_ = arguments_.number("send");
    pump();
    for (uint64_t i = 0; i < arguments_.number("messages"); ++i) {
      const std::string text = "message " + std::to_string(i);
      stream_->send_message(as_bytes(text));
    }
    if (arguments_.number("pulse_ms")) timer_.arm(loop_.now() + pulse());
    const uint64_t idle = arguments_.number("idle_ms", 120000);
    const bool closed = loop_.run_until([this] { return closed_; }, std::chrono::milliseconds(idle));
    report(closed);
    return closed ? 0 : 3;
  }

  void on_datagram(UdpSocket& socket, const Endpoint& from, ByteView data) override { mux_.on_datagram(socket, from, data); }
  void on_drained(UdpSocket&) override { mux_.on_drained(); }

  void on_data(ByteView data) override {
    received_ += data.size();
    hash_.add(data);
    const uint64_t destroy_at = arguments_.number("destroy_at");
    if (destroy_at > 0 && received_ >= destroy_at) stream_->destroy();
    if (arguments_.number("pause_ms") > 0 && !paused_) {
      paused_ = true;
      stream_->pause_reading();
      timer_.arm(loop_.now() + std::chrono::milliseconds(arguments_.number("pause_ms")));
    }
  }
  void on_drain() override { pump(); }
  void on_end() override {
    ended_ = true;
    if (arguments_.number("end_on_end")) stream_->end();
  }
  void on_close(const std::optional<Error>& error) override {
    closed_ = true;
    if (error) code_ = error->code;
    silence_ = loop_.now() - stream_->last_heard();
  }

 private:
  Duration pulse() const { return std::chrono::milliseconds(arguments_.number("pulse_ms")); }

  void on_timer() {
    if (paused_) {
      std::printf("{\"event\":\"resume\",\"received\":%llu}\n", static_cast<unsigned long long>(received_));
      std::fflush(stdout);
      stream_->resume_reading();
      return;
    }
    stream_->write(Buffer::copy_of(as_bytes("tick")));
    timer_.arm(loop_.now() + pulse());
  }

  void on_message(ByteView message) {
    ++messages_;
    if (arguments_.number("echo_messages")) stream_->send_message(message);
  }

  // The bytes are SplitMix64 output, eight at a time, little-endian: run.mjs hashes what it receives and compares.
  void pump() {
    while (sent_ < to_send_) {
      const size_t size = static_cast<size_t>(std::min<uint64_t>(61440, to_send_ - sent_));
      Buffer buffer = Buffer::with_room(0, size);
      buffer.grow(size);
      source_.fill(buffer.span());
      sent_hash_.add(buffer.view());
      sent_ += size;
      if (!stream_->write(std::move(buffer))) return;
    }
    if (arguments_.number("end") && !end_called_) {
      end_called_ = true;
      stream_->end();
    }
  }

  void report(bool closed) {
    const udx::StreamStats stats = stream_->stats();
    std::printf(
        "{\"event\":\"done\",\"closed\":%s,\"code\":\"%s\",\"received\":%llu,\"sha256\":\"%s\",\"sent_sha256\":\"%s\",\"ended\":%s,"
        "\"messages\":%d,"
        "\"silence_ms\":%lld,\"packets_sent\":%llu,\"retransmitted\":%llu,\"rto\":%llu,\"tlp\":%llu,\"mtu\":%zu,\"srtt_us\":%lld}\n",
        closed ? "true" : "false", code_.c_str(), static_cast<unsigned long long>(received_), hash_.hex().c_str(), sent_hash_.hex().c_str(),
        ended_ ? "true" : "false", messages_, static_cast<long long>(to_ms(silence_)), static_cast<unsigned long long>(stats.packets_sent),
        static_cast<unsigned long long>(stats.packets_retransmitted), static_cast<unsigned long long>(stats.rto_count),
        static_cast<unsigned long long>(stats.tlp_count), stats.mtu, static_cast<long long>(stats.smoothed_rtt.count() / 1000));
    std::fflush(stdout);
  }

  const Arguments& arguments_;
  SeededRng rng_;
  io::Loop loop_;
  udx::Mux mux_;
  std::unique_ptr<UdpSocket> socket_;
  std::unique_ptr<udx::Stream> stream_;
  Timer timer_;
  SeededRng source_{42};
  Sha256 hash_;
  Sha256 sent_hash_;
  uint64_t to_send_ = 0;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
  Duration silence_{};
  std::string code_;
  int messages_ = 0;
  bool end_called_ = false;
  bool ended_ = false;
  bool paused_ = false;
  bool closed_ = false;
};

}  // namespace

int main(int count, char** values) {
  const Arguments arguments(count, values);
  return Peer(arguments).run();
}
