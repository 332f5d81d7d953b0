// Spreads packets over time: a credit in bytes that grows with the pacing rate and is spent by every packet.
//
// Packets may leave while the credit is positive; it may go below zero by one packet. When it is used up, wait() says when a
// whole quantum (about 1 ms worth) has come together, so that one timer serves many packets. Who waited for that and was woken late (a
// busy machine) makes up for it: otherwise every late wake-up would lower the rate itself. Up to kMaxLate, or a quarter of a round trip if
// that is less, is sent at once; the rest is owed (up to kMaxOwed, or a round trip) and leaves at kRepay above the rate: all at once it
// would overflow a short queue. Unused credit is kept for kMaxIdle only: no burst after idling. Rates in bytes per second. One thread.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace hg::udx {

class Pacer {
 public:
  static constexpr Duration kMaxIdle = 2ms;
  static constexpr Duration kMaxLate = 10ms;
  static constexpr Duration kMaxOwed = 50ms;
  static constexpr double kRepay = 0.25;

  /// `quantum`: the burst that one wake-up should be worth, bytes.
  void refill(TimePoint now, double rate, double quantum, Duration round_trip) {
    rate_ = rate;
    quantum_ = quantum;
    late_ = waiting_ ? now - due_ : Duration{};
    if (waiting_) late_until_ = now + kMaxIdle;  // what is to be sent may come only when it is asked for
    const bool may_be_late = now <= late_until_;
    const double earned = rate * to_seconds(now - refilled_at_);
    const double total = credit_ + earned;
    const Duration kept = may_be_late ? std::max(kMaxIdle, std::min(kMaxLate, round_trip / 4)) : kMaxIdle;
    const double limit = std::max(2 * quantum, rate * to_seconds(kept));
    if (total > limit) {
      const double most_owed = rate * to_seconds(std::min(kMaxOwed, round_trip));
      if (waiting_) owed_ = std::min(owed_ + total - limit, most_owed);
      if (!may_be_late) owed_ = 0;
      credit_ = limit;
    } else {
      const double repaid = std::min({owed_, kRepay * earned, limit - total});
      owed_ -= repaid;
      credit_ = total + repaid;
    }
    refilled_at_ = now;
    waiting_ = false;
  }
  double credit() const { return credit_; }
  void spend(size_t bytes) { credit_ -= static_cast<double>(bytes); }
  /// By how much the wake-up that led to the last refill() was late.
  Duration late() const { return late_; }
  /// When the next quantum may leave, for one who has it ready.
  TimePoint wait() {
    waiting_ = true;
    const double missing = quantum_ - credit_;
    due_ = refilled_at_;
    if (missing > 0 && rate_ > 0) due_ += Duration(static_cast<int64_t>(missing / rate_ * 1e9) + 1);
    return due_;
  }

 private:
  double rate_ = 0;
  double quantum_ = 0;
  double credit_ = 0;
  double owed_ = 0;
  TimePoint refilled_at_{};
  TimePoint due_{};
  TimePoint late_until_{};
  Duration late_{};
  bool waiting_ = false;
};

}  // namespace hg::udx
