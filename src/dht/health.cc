#include "dht/health.h"

#include <algorithm>

namespace hg::dht {
namespace {

// npm dht-rpc 6.27 lib/health
constexpr uint64_t kIdleBelow = 4;
constexpr size_t kOfflineTicks = 2;

}  // namespace

Health HealthMonitor::update(uint64_t responses, uint64_t timeouts) {
  const Tick previous = window_[head_];
  head_ = (head_ + 1) % kWindow;
  window_[head_] = {responses, timeouts, Mark::kNone};
  filled_ = std::min(filled_ + 1, kWindow);
  const uint64_t answered = responses - previous.responses;
  const uint64_t silent = timeouts - previous.timeouts;
  if (filled_ < kWindow || answered + silent < kIdleBelow) return verdict();

  Tick& tick = window_[head_];
  tick.mark = answered == 0 ? Mark::kOffline : silent > answered ? Mark::kDegraded : Mark::kHealthy;
  offline_ticks_ = tick.mark == Mark::kOffline ? offline_ticks_ + 1 : 0;
  if (tick.mark != Mark::kOffline)
    online_ = true;
  else if (offline_ticks_ >= kOfflineTicks)
    online_ = false;

  const auto count = [&](Mark mark) {
    return std::count_if(window_.begin(), window_.end(), [&](const Tick& t) { return t.mark == mark; });
  };
  if (!online_ || count(Mark::kHealthy) == kWindow)
    degraded_ = false;
  else if (count(Mark::kDegraded) == kWindow)
    degraded_ = true;
  return verdict();
}

}  // namespace hg::dht
