// Whether a process that could be reached counts as reachable still. Its address is unknown for some seconds after each change of network,
// until enough nodes have answered anew, and one odd answer makes a NAT look random. What others run through us is not to end for that:
// their streams notice by themselves, within seconds, if nothing passes any more. Owned by RelayRole. One thread.
#pragma once

#include <optional>

#include "base/time.h"

namespace hg::app {

class Reachability {
 public:
  static constexpr Duration kGrace = std::chrono::seconds(30);  // a few times what finding the address out takes

  /// `reachable`: as it looks now. Returns whether it counts as such: at once, and until it has looked otherwise for kGrace.
  bool review(bool reachable, TimePoint now) {
    if (reachable) {
      counts_ = true;
      lost_at_.reset();
    } else if (!lost_at_) {
      lost_at_ = now;
    } else if (now - *lost_at_ >= kGrace) {
      counts_ = false;
    }
    return counts_;
  }

 private:
  bool counts_ = false;
  std::optional<TimePoint> lost_at_;
};

}  // namespace hg::app
