// Keeps a log from filling with the same line: each text passes once a minute. One thread.
#pragma once

#include <string>
#include <unordered_map>

#include "base/time.h"

namespace hg::tunnel {

class RareNotice {
 public:
  /// True when `text` should be logged now.
  bool due(const std::string& text, TimePoint now) {
    if (last_.size() >= kMaxTexts) std::erase_if(last_, [&](const auto& entry) { return entry.second + kInterval <= now; });
    const auto found = last_.find(text);
    if (found != last_.end() && now < found->second + kInterval) return false;
    if (found == last_.end() && last_.size() >= kMaxTexts) return false;
    last_[text] = now;
    return true;
  }

 private:
  static constexpr Duration kInterval = 60s;
  static constexpr size_t kMaxTexts = 256;

  std::unordered_map<std::string, TimePoint> last_;
};

}  // namespace hg::tunnel
