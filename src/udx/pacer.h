// Spreads packets over time: a credit in bytes that grows with the pacing rate and is spent by every packet.
//
// Packets may leave while the credit is positive; it may go below zero by one packet. When it is used up, deadline() is when a
// whole quantum (about 1 ms worth) has come together, so that one timer serves many packets. Unused credit is kept for
// kMaxLate only: enough to make up for a late timer, not for a burst after idling. Rates in bytes per second. One thread.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace hg::udx {

class Pacer {
 public:
  static constexpr Duration kMaxLate = 2ms;

  /// `quantum`: the burst that one wake-up should be worth, bytes.
  void refill(TimePoint now, double rate, double quantum) {
    rate_ = rate;
    quantum_ = quantum;
    const double limit = std::max(2 * quantum, rate * to_seconds(kMaxLate));
    credit_ = std::min(limit, credit_ + rate * to_seconds(now - refilled_at_));
    refilled_at_ = now;
  }
  double credit() const { return credit_; }
  void spend(size_t bytes) { credit_ -= static_cast<double>(bytes); }
  /// Grants at least `bytes` now (start of a flight after idling).
  void grant(size_t bytes) { credit_ = std::max(credit_, static_cast<double>(bytes)); }
  TimePoint deadline() const {
    const double missing = quantum_ - credit_;
    if (missing <= 0 || rate_ <= 0) return refilled_at_;
    return refilled_at_ + Duration(static_cast<int64_t>(missing / rate_ * 1e9) + 1);
  }

 private:
  double rate_ = 0;
  double quantum_ = 0;
  double credit_ = 0;
  TimePoint refilled_at_{};
};

}  // namespace hg::udx
