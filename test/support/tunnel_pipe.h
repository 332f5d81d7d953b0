// For tests: two encrypted connections joined in memory, driven by a Runtime, with delay, a finite queue and message boundaries.
//
//   auto [a, b] = make_pipe(runtime, key_a, key_b, {.delay = 5ms});
//
// write() returns false above `high_water` queued bytes; a paused reader stops the writer's queue from draining, as a receive window does.
#pragma once

#include <deque>
#include <memory>
#include <utility>

#include "base/runtime.h"
#include "noise/connection.h"

namespace hg::tunnel {

struct PipeOptions {
  Duration delay = 1ms;
  double bytes_per_second = 0;  // 0: unlimited
  size_t high_water = 262144;
  size_t packet = 0;  // largest message beside the stream; these overtake it
  size_t split = 0;   // deliver in pieces of this many bytes; 0: message by message
};

class PipeEnd final : public noise::Connection {
 public:
  PipeEnd(Runtime& runtime, const PublicKey& local, const PublicKey& remote, const PipeOptions& options)
      : runtime_(runtime), local_(local), remote_key_(remote), options_(options), timer_(runtime.timers(), [this] { deliver(); }) {}
  ~PipeEnd() override {
    *alive_ = false;
    if (peer_ != nullptr) {
      peer_->lose();
      peer_->peer_ = nullptr;
    }
  }

  static void join(PipeEnd& a, PipeEnd& b) {
    a.peer_ = &b;
    b.peer_ = &a;
  }

  void set_handler(ByteStreamHandler* handler) override { handler_ = handler; }
  bool write(Buffer bytes) override {
    if (closed_ || ended_) return true;
    written_messages_ += 1;
    stats_.bytes_sent += bytes.size();
    queued_ += bytes.size();
    schedule(std::move(bytes), false);
    needs_drain_ = needs_drain_ || queued_ >= options_.high_water;
    return !needs_drain_;
  }
  size_t write_headroom() const override { return 16; }
  size_t write_tailroom() const override { return 17; }
  size_t queued_bytes() const override { return queued_; }
  void pause_reading() override { paused_ = true; }
  void resume_reading() override {
    paused_ = false;
    if (peer_ != nullptr) peer_->timer_.arm(runtime_.now());
  }
  void end() override {
    if (ended_ || closed_) return;
    ended_ = true;
    schedule(Buffer(), true);
    if (got_end_) close_later({});
  }
  void destroy() override {
    close_later({});
    if (peer_ != nullptr) peer_->lose();
  }

  const PublicKey& remote_key() const override { return remote_key_; }
  const PublicKey& local_key() const override { return local_; }
  bool is_initiator() const override { return local_ < remote_key_; }
  const Hash64& handshake_hash() const override { return hash_; }
  noise::ConnectionStats stats() const override {
    noise::ConnectionStats stats = stats_;
    stats.smoothed_rtt = 2 * options_.delay;
    return stats;
  }

  bool send_unordered(ByteView message) override {
    if (message.size() > options_.packet || closed_ || peer_ == nullptr) return false;
    ++unordered_messages_;
    runtime_.post([to = peer_, alive = peer_->alive_, copy = to_bytes(message)] {
      if (*alive && to->unordered_handler_) to->unordered_handler_(copy);
    });
    return true;
  }
  void set_unordered_handler(std::function<void(ByteView)> handler) override { unordered_handler_ = std::move(handler); }
  void limit_messages(size_t bytes) override { message_limit_ = bytes; }

  /// The network takes the connection away: both ends hear of it.
  void cut() {
    if (peer_ != nullptr) peer_->lose();
    lose();
  }
  void allow_moves() override { moves_allowed_ = true; }
  bool moves_allowed() const { return moves_allowed_; }
  bool answering() const override { return answering_; }
  void set_answering_handler(std::function<void(bool)> handler) override { answering_handler_ = std::move(handler); }
  /// Nothing gets through in either direction, or again; both ends notice.
  void set_answering(bool answering) {
    for (PipeEnd* end : {this, peer_}) {
      end->answering_ = answering;
      if (answering) end->timer_.arm(runtime_.now());
      if (end->answering_handler_) end->answering_handler_(answering);
    }
  }
  bool paused() const { return paused_; }
  uint64_t written_messages() const { return written_messages_; }
  uint64_t unordered_messages() const { return unordered_messages_; }

 private:
  struct Item {
    TimePoint at;
    Buffer bytes;
    bool is_end;
  };

  void schedule(Buffer bytes, bool is_end) {
    const TimePoint now = runtime_.now();
    line_free_ = std::max(line_free_, now);
    if (options_.bytes_per_second > 0)
      line_free_ += std::chrono::nanoseconds(static_cast<int64_t>(static_cast<double>(bytes.size()) / options_.bytes_per_second * 1e9));
    queue_.push_back({line_free_ + options_.delay, std::move(bytes), is_end});
    if (!timer_.armed()) timer_.arm(queue_.front().at);
  }

  void deliver() {
    const auto alive = alive_;
    bool any = false;
    while (answering_ && !queue_.empty() && queue_.front().at <= runtime_.now() && peer_ != nullptr && !peer_->paused_ && !peer_->closed_) {
      Item item = std::move(queue_.front());
      queue_.pop_front();
      queued_ -= item.bytes.size();
      any = true;
      if (item.is_end) {
        peer_->receive_end();
      } else {
        peer_->receive(item.bytes.view(), options_.split);
      }
      if (!*alive) return;
    }
    if (any && peer_ != nullptr && peer_->handler_ != nullptr) peer_->handler_->on_data_end_of_burst();
    if (!*alive || closed_) return;
    if (needs_drain_ && queued_ <= options_.high_water / 2) {
      needs_drain_ = false;
      if (handler_ != nullptr) handler_->on_drain();
    }
    if (!*alive || queue_.empty() || !answering_ || peer_ == nullptr || peer_->paused_) return;
    timer_.arm(queue_.front().at);
  }

  void receive(ByteView data, size_t split) {
    stats_.bytes_received += data.size();
    if (data.size() > message_limit_) return destroy();
    if (handler_ == nullptr) return;
    if (split == 0) return handler_->on_data(data);
    while (!data.empty() && !closed_) {
      const size_t n = std::min(split, data.size());
      handler_->on_data(data.first(n));
      data = data.subspan(n);
    }
  }

  void receive_end() {
    got_end_ = true;
    if (handler_ != nullptr) handler_->on_end();
    if (ended_) {
      close_later({});
      if (peer_ != nullptr) peer_->close_later({});
    }
  }

  void lose() { close_later(Error{"CONNECTION_LOST", "the pipe was cut"}); }

  void close_later(std::optional<Error> error) {
    if (closed_) return;
    closed_ = true;
    timer_.disarm();
    runtime_.post([this, alive = alive_, error = std::move(error)] {
      if (*alive && handler_ != nullptr) handler_->on_close(error);
    });
  }

  Runtime& runtime_;
  PublicKey local_;
  PublicKey remote_key_;
  PipeOptions options_;
  Timer timer_;
  PipeEnd* peer_ = nullptr;
  ByteStreamHandler* handler_ = nullptr;
  std::deque<Item> queue_;
  TimePoint line_free_{};
  size_t queued_ = 0;
  uint64_t written_messages_ = 0;
  uint64_t unordered_messages_ = 0;
  std::function<void(ByteView)> unordered_handler_;
  size_t message_limit_ = SIZE_MAX;
  bool needs_drain_ = false;
  bool paused_ = false;
  bool moves_allowed_ = false;
  bool answering_ = true;
  std::function<void(bool)> answering_handler_;
  bool ended_ = false;
  bool got_end_ = false;
  bool closed_ = false;
  Hash64 hash_{};
  noise::ConnectionStats stats_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

inline std::pair<std::unique_ptr<PipeEnd>, std::unique_ptr<PipeEnd>> make_pipe(Runtime& runtime, const PublicKey& a, const PublicKey& b,
                                                                               const PipeOptions& options = {}) {
  auto first = std::make_unique<PipeEnd>(runtime, a, b, options);
  auto second = std::make_unique<PipeEnd>(runtime, b, a, options);
  PipeEnd::join(*first, *second);
  return {std::move(first), std::move(second)};
}

}  // namespace hg::tunnel
