// Spreads packets over time: a credit in bytes that grows with the pacing rate and is spent by every packet.
//
// Packets may leave while the credit is positive; it may go below zero by one packet. When it is used up, wait() says when a
// whole quantum (about 1 ms worth) has come together, so that one timer serves many packets. Who waited for that and was woken late (a
// busy machine) makes up for up to kMaxLate, or a quarter of a round trip if that is less: otherwise every late wake-up would lower the
// rate itself. Unused credit is kept for kMaxIdle only: no burst after idling. Rates in bytes per second. One thread.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace hg::udx {

class Pacer {
 public:
  static constexpr Duration kMaxIdle = 2ms;
  static constexpr Duration kMaxLate = 10ms;

  /// `quantum`: the burst that one wake-up should be worth, bytes.
  void refill(TimePoint now, double rate, double quantum, Duration round_trip) {
    rate_ = rate;
    quantum_ = quantum;
    const Duration late = waiting_ ? std::max(kMaxIdle, std::min(kMaxLate, round_trip / 4)) : kMaxIdle;
    const double limit = std::max(2 * quantum, rate * to_seconds(late));
    credit_ = std::min(limit, credit_ + rate * to_seconds(now - refilled_at_));
    refilled_at_ = now;
    waiting_ = false;
  }
  double credit() const { return credit_; }
  void spend(size_t bytes) { credit_ -= static_cast<double>(bytes); }
  /// When the next quantum may leave, for one who has it ready.
  TimePoint wait() {
    waiting_ = true;
    const double missing = quantum_ - credit_;
    if (missing <= 0 || rate_ <= 0) return refilled_at_;
    return refilled_at_ + Duration(static_cast<int64_t>(missing / rate_ * 1e9) + 1);
  }

 private:
  double rate_ = 0;
  double quantum_ = 0;
  double credit_ = 0;
  TimePoint refilled_at_{};
  bool waiting_ = false;
};

}  // namespace hg::udx
