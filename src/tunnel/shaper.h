// Bandwidth limits: a token bucket per (client address, rule), shared by all channels of that client and by both directions.
//
//   ShapedSide (one direction of one channel) ─ grant(n) ─▶ bytes that may pass now ─ charge(n) ─▶ bucket
//                                                └─ 0: it waits ─▶ on_turn(), round robin among the bucket's waiting sides
//
// A bucket holds burst_mbps × 1 s and fills at mbps (1 Mbit = 10^6 bits). While a side waits, what the bucket gains between the moment a
// turn was due and the moment the loop came round is kept beyond its size, so that a small bucket still runs at its full rate.
// Buckets of different clients know nothing of each other. Owned by Gateway; sides belong to the relay's links. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/runtime.h"
#include "tunnel/counters.h"
#include "tunnel/ingress_policy.h"

namespace hg::tunnel {

class Bucket;

/// One direction of one channel. Destroying it ends its wait.
class ShapedSide {
 public:
  /// `on_turn` may destroy the side.
  explicit ShapedSide(std::function<void()> on_turn) : on_turn_(std::move(on_turn)) {}
  ~ShapedSide() { leave(); }
  ShapedSide(const ShapedSide&) = delete;
  ShapedSide& operator=(const ShapedSide&) = delete;

  /// Changes the limit, nullptr: none. A side that waited does so no more and gets no turn: its owner goes on by itself.
  void use(std::shared_ptr<Bucket> bucket);
  const std::shared_ptr<Bucket>& bucket() const { return bucket_; }
  /// Stream bytes that may pass now, at most `want` (> 0). 0: the side waits, on_turn() comes.
  size_t grant(size_t want);
  /// Whether a datagram may pass now as a whole; one larger than the bucket waits for a full one. False: the side waits.
  bool grant_whole(size_t size);
  /// What passed. May be more than is left: the bucket is in debt then.
  void charge(size_t bytes);
  bool waiting() const { return waiting_; }
  void leave();

 private:
  friend class Bucket;

  std::function<void()> on_turn_;
  std::shared_ptr<Bucket> bucket_;
  ShapedSide* next_ = nullptr;
  ShapedSide* previous_ = nullptr;
  size_t need_ = 0;  // tokens its turn needs
  bool waiting_ = false;
  TimePoint since_{};
};

class Bucket : public std::enable_shared_from_this<Bucket> {
 public:
  Bucket(Runtime& runtime, Counters& counters, const BandwidthLimit& limit);

  static constexpr size_t kMaxQueuedDatagrams = 65536;  // however small

  /// Bytes of burst: what may wait in queues.
  size_t capacity() const { return static_cast<size_t>(capacity_); }
  /// Bytes of datagrams that wait, over all flows and both directions.
  size_t queued_bytes() const { return queued_bytes_; }
  /// Whether that many more may wait. A datagram larger than the burst may, alone.
  bool may_queue(size_t bytes) const {
    return queued_datagrams_ == 0 || (queued_bytes_ + bytes <= capacity() && queued_datagrams_ < kMaxQueuedDatagrams);
  }
  void add_queued(size_t datagrams, size_t bytes) {
    queued_datagrams_ += datagrams;
    queued_bytes_ += bytes;
  }
  void remove_queued(size_t datagrams, size_t bytes) {
    queued_datagrams_ -= datagrams;
    queued_bytes_ -= bytes;
  }
  /// Nobody waits and nothing of the burst is spent.
  bool full();
  /// For people: limit, what is left of the burst, who waits.
  std::string describe();

 private:
  friend class ShapedSide;

  void refill();
  void enqueue(ShapedSide& side, size_t need);
  void dequeue(ShapedSide& side);
  void run();
  void arm();
  double needed(size_t need) const;

  Runtime& runtime_;
  Counters& counters_;
  const double rate_;  // bytes a second
  const double capacity_;
  const size_t quantum_;  // bytes of one turn
  double tokens_;
  TimePoint filled_at_;
  ShapedSide* first_ = nullptr;
  ShapedSide* last_ = nullptr;
  size_t waiting_ = 0;
  size_t queued_datagrams_ = 0;
  size_t queued_bytes_ = 0;
  ShapedSide* turn_ = nullptr;
  size_t turn_left_ = 0;
  Timer timer_;
};

class Shaper {
 public:
  static constexpr size_t kMaxBuckets = 65536;  // beyond it, buckets nobody uses are forgotten before they are full again

  Shaper(Runtime& runtime, Counters& counters) : runtime_(runtime), counters_(counters) {}

  std::shared_ptr<Bucket> bucket(const std::string& client, const IngressRule& rule);
  size_t size() const { return buckets_.size(); }

 private:
  void forget_idle();

  Runtime& runtime_;
  Counters& counters_;
  std::unordered_map<std::string, std::shared_ptr<Bucket>> buckets_;
  size_t sweep_at_ = 64;
};

}  // namespace hg::tunnel
