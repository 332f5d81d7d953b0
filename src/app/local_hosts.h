// The hosts that containers here bear. One that is gone counts for kSettle more: its provider is about to withdraw it. Owned by DockerMode.
// One thread.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "base/time.h"

namespace hg::app {

class LocalHosts {
 public:
  static constexpr Duration kSettle = 2s;

  void set(const std::set<std::string>& hosts, TimePoint now) {
    std::erase_if(until_, [&](const auto& entry) { return entry.second <= now; });
    for (auto& [host, until] : until_)
      if (until == TimePoint::max() && !hosts.contains(host)) until = now + kSettle;
    for (const std::string& host : hosts) until_[host] = TimePoint::max();
  }
  bool contains(const std::string& host, TimePoint now) const {
    const auto known = until_.find(host);
    return known != until_.end() && known->second > now;
  }
  /// When the next one that is gone counts no more; TimePoint::max(): all are here.
  TimePoint next_settled(TimePoint now) const {
    TimePoint next = TimePoint::max();
    for (const auto& [host, until] : until_)
      if (until > now) next = std::min(next, until);
    return next;
  }
  size_t size() const { return until_.size(); }

 private:
  std::map<std::string, TimePoint> until_;  // TimePoint::max() while it is here
};

}  // namespace hg::app
