// The receiving half of a stream: reassembly by sequence number, what to acknowledge, and the window to advertise.
//
//   accept() ─ in order ─▶ kDirect: the caller delivers the datagram's own bytes ─▶ next() … pop()
//            ─ early, or reading is paused ─▶ kept in a ring (bounded) ─▶ next() … pop()
//
//        delivered()            ack()
//   …───────┴── kept, in order ───┴── hole ── [kept] ── hole ── [kept] …     ring: at most max_span() packets
//
// Owner: the stream. One thread. Sizes in bytes; a kept packet counts at least kMinCost, so tiny packets fill the window too. Blocks and
// ring take at most twice what counts.
#pragma once

#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "udx/block_pool.h"
#include "udx/seq_ranges.h"
#include "udx/seq_ring.h"
#include "wire/udx_packet.h"

namespace hg::udx {

class Receiver {
 public:
  /// libudx looks no farther than this beyond its ack.
  static constexpr size_t kMaxSpan = 65536;
  static constexpr size_t kMaxRanges = 8192;
  static constexpr size_t kMinCost = 256;
  /// Kept beyond the advertised window: what was on its way when the window shrank.
  static constexpr size_t kSlack = 256 << 10;

  Receiver(BlockPool& pool, size_t window, Seq first = 0) : pool_(pool), ring_(first), window_(window), delivered_(first), ack_(first) {}
  ~Receiver() { drop_all(); }

  enum class Verdict { kOld, kRefused, kDirect, kKept };
  /// A DATA or END packet. kDirect: deliver `payload` now, then whatever next() holds.
  Verdict accept(Seq seq, bool end, ByteView payload);

  void pause() { paused_ = true; }
  void resume() { paused_ = false; }
  bool paused() const { return paused_; }

  /// The next kept payload to deliver; nullopt while paused, at a hole or when nothing is kept. The view lives until pop().
  std::optional<ByteView> next() const;
  void pop();

  /// All that the peer will ever send has been delivered.
  bool at_end() const { return end_seq_ && seq_before(*end_seq_, delivered_); }
  bool end_known() const { return end_seq_.has_value(); }
  Seq ack() const { return ack_; }
  size_t kept_bytes() const { return cost_; }
  /// What may be advertised now.
  uint32_t window() const { return static_cast<uint32_t>(window_ > cost_ ? window_ - cost_ : 0); }
  size_t window_limit() const { return window_; }
  void set_window(size_t window) { window_ = window; }
  bool has_gaps() const { return !early_.empty(); }
  /// Ranges held beyond ack(), ascending, at most `out.size()`: when there are more, the lowest, the highest and a rotating
  /// part of the middle. Returns how many.
  size_t sacks(std::span<wire::UdxSackRange> out);

  /// Gives memory back that an idle stream does not need.
  void release_idle();
  void drop_all();
  /// Blocks and ring.
  size_t memory_bytes() const;

 private:
  struct Slot {
    BlockPool::Block data;
    uint32_t size = 0;
    bool present = false;
  };

  bool keep(Seq seq, ByteView payload);
  /// No more packets than would fill the window if each were tiny.
  size_t max_span() const { return std::min(kMaxSpan, (window_ + kSlack) / kMinCost); }
  static size_t cost_of(size_t bytes) { return bytes < kMinCost ? kMinCost : bytes; }

  BlockPool& pool_;
  SeqRing<Slot> ring_;  // begins at delivered_
  SeqRanges early_;     // kept beyond ack_
  size_t window_;
  size_t cost_ = 0;
  size_t rotation_ = 0;
  Seq delivered_;
  Seq ack_;
  std::optional<Seq> end_seq_;
  bool paused_ = false;
};

}  // namespace hg::udx
