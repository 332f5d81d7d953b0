// How many new handshakes are looked at in a second: in all, of one host, and how the hosts share them. Owned by a server; one thread.
#pragma once

#include <algorithm>
#include <unordered_map>

#include "base/time.h"

namespace hg::peer {

class HandshakeRate {
 public:
  static constexpr uint32_t kPerSecond = 256;
  static constexpr uint32_t kFirstCome = kPerSecond / 4;  // the rest is for hosts that have not had their share
  static constexpr size_t kMaxHosts = 1024;               // told apart in a second

  /// One more of `host`, which may have `most` a second; false: too many.
  bool take(uint32_t host, uint32_t most, TimePoint now) {
    if (now - window_ >= std::chrono::seconds(1)) {
      for (Duration idle = now - window_; crowd_ > 0 && idle >= std::chrono::seconds(1); idle -= std::chrono::seconds(1))
        crowd_ -= (crowd_ + 15) / 16;
      window_ = now;
      total_ = 0;
      of_host_.clear();
    }
    uint32_t none = 0;
    const bool told_apart = of_host_.size() < kMaxHosts || of_host_.contains(host);
    uint32_t& of_host = told_apart ? of_host_[host] : none;
    crowd_ = std::max(crowd_, of_host_.size());
    if (total_ >= kPerSecond || of_host >= most) return false;
    if (total_ >= kFirstCome && of_host >= share()) return false;
    of_host++;
    total_++;
    return true;
  }

 private:
  /// What each may have of a second in which all want as much as they can get, with room for half as many hosts more.
  uint32_t share() const {
    return crowd_ <= 1 ? kPerSecond : std::max<uint32_t>(1, kPerSecond / static_cast<uint32_t>(crowd_ + crowd_ / 2));
  }

  TimePoint window_{};
  uint32_t total_ = 0;
  std::unordered_map<uint32_t, uint32_t> of_host_;  // of those who asked in this second
  size_t crowd_ = 0;                                // how many these are or were; forgotten slowly: a pause wins nothing
};

}  // namespace hg::peer
