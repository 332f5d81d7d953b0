// Second copies of repairs. A repair that is lost in its turn keeps all that came behind it waiting for three round trips, and what may
// be unacknowledged meanwhile is bounded, so sending stops. Where every round trip loses packets and has many behind each (long, fast
// paths), a copy of each repair, a quarter of a round trip later, costs less than those waits: it is the loss rate in bytes.
//
//   on_repair() ─ kAfter of a round trip ─▶ take_due(): still unanswered? then it is sent again
//
// Owner: the sender. One thread. At most kMost wait.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "base/time.h"
#include "udx/seq.h"

namespace hg::udx {

class RepairCopies {
 public:
  static constexpr int kAfter = 4;              // a quarter of the smoothed RTT: past a burst of losses on a fast path
  static constexpr double kLossesPerRound = 3;  // fewer, and the copies cost more than the waits
  static constexpr double kMostLoss = 0.05;     // what they may cost
  static constexpr double kLeastPackets = 256;  // before the share of losses means anything
  static constexpr double kMemory = 2048;       // packets that the share of losses looks back on
  static constexpr size_t kMost = 1024;

  struct Copy {
    Seq seq = 0;
    uint32_t order = 0;  // of the repair among all sendings
    TimePoint due{};
  };

  void on_delivered() { remember(delivered_); }
  void on_lost() { remember(lost_); }
  /// `round`: packets that fill the path.
  bool worthwhile(double round) const {
    const double packets = delivered_ + lost_;
    return packets >= kLeastPackets && lost_ <= kMostLoss * packets && lost_ / packets * round >= kLossesPerRound;
  }

  void on_repair(Seq seq, uint32_t order, TimePoint now, Duration smoothed_rtt) {
    if (waiting_.size() == kMost) forget_taken();
    if (waiting_.size() < kMost) waiting_.push_back({seq, order, now + smoothed_rtt / kAfter});
  }
  /// The next whose time has come.
  std::optional<Copy> take_due(TimePoint now) {
    if (!pending() || next_due() > now) return std::nullopt;
    const Copy copy = waiting_[taken_];
    if (++taken_ == waiting_.size()) clear();
    return copy;
  }
  bool pending() const { return taken_ < waiting_.size(); }
  TimePoint next_due() const { return std::max(waiting_[taken_].due, not_before_); }
  void postpone(TimePoint until) { not_before_ = until; }
  void clear() {
    waiting_.clear();
    taken_ = 0;
  }

 private:
  void remember(double& kind) {
    ++kind;
    if (delivered_ + lost_ < kMemory) return;
    delivered_ /= 2;
    lost_ /= 2;
  }
  void forget_taken() {
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(taken_));
    taken_ = 0;
  }

  std::vector<Copy> waiting_;  // in the order of due; the first taken_ are done
  size_t taken_ = 0;
  TimePoint not_before_{};  // pacing
  double delivered_ = 0;    // packets, fading
  double lost_ = 0;
};

}  // namespace hg::udx
