// Round-trip time: smoothed value, variation and retransmission timeout (RFC 6298), and a windowed minimum for RACK.
// Fed only by packets that were sent once. One thread; times in Duration.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace hg::udx {

class RttEstimator {
 public:
  static constexpr Duration kInitialRto = 1s;   // RFC 6298 2.1
  static constexpr Duration kMinRto = 250ms;    // sender-local; the reference uses 1 s. Peers acknowledge at once.
  static constexpr Duration kMaxRto = 30s;      // libudx ae8bff7
  static constexpr Duration kOutlier = 5s;      // libudx ae8bff7: a sample across a suspended process is clamped
  static constexpr Duration kMinWindow = 300s;  // libudx ae8bff7: window of the RACK minimum

  void add(Duration sample, TimePoint now) {
    sample = std::max(sample, Duration(1us));
    if (!known_) {
      known_ = true;
      smoothed_ = std::min(sample, kMaxRto);
      variation_ = smoothed_ / 2;
    } else {
      const Duration limit = smoothed_ + 5 * variation_;
      if (sample > limit && sample > kOutlier) sample = std::min(limit, kMaxRto);
      const Duration delta = sample < smoothed_ ? smoothed_ - sample : sample - smoothed_;
      variation_ = (3 * variation_ + delta) / 4;
      smoothed_ = (7 * smoothed_ + sample) / 8;
    }
    latest_ = sample;
    if (sample <= min_ || now - min_at_ > kMinWindow) {
      min_ = sample;
      min_at_ = now;
    }
  }

  bool known() const { return known_; }
  Duration smoothed() const { return smoothed_; }
  Duration latest() const { return latest_; }
  /// Duration::max() without a sample.
  Duration min() const { return min_; }
  Duration rto() const { return known_ ? std::clamp(smoothed_ + 4 * variation_, kMinRto, kMaxRto) : kInitialRto; }

 private:
  bool known_ = false;
  Duration smoothed_{};
  Duration variation_{};
  Duration latest_{};
  Duration min_ = Duration::max();
  TimePoint min_at_{};
};

}  // namespace hg::udx
