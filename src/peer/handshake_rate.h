// How many new handshakes are looked at in a second: in all, and of one host. Owned by a server; one thread.
#pragma once

#include <unordered_map>

#include "base/time.h"

namespace hg::peer {

class HandshakeRate {
 public:
  static constexpr uint32_t kPerSecond = 256;

  /// One more of `host`, which may have `most` a second; false: too many.
  bool take(uint32_t host, uint32_t most, TimePoint now) {
    if (now - window_ >= std::chrono::seconds(1)) {
      window_ = now;
      total_ = 0;
      of_host_.clear();
    }
    if (total_ >= kPerSecond) return false;
    uint32_t& of_host = of_host_[host];
    if (of_host >= most) return false;
    of_host++;
    total_++;
    return true;
  }

 private:
  TimePoint window_{};
  uint32_t total_ = 0;
  std::unordered_map<uint32_t, uint32_t> of_host_;  // at most kPerSecond
};

}  // namespace hg::peer
