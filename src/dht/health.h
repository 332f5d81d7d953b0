// Online, degraded or offline, judged by responses and timeouts per tick (npm dht-rpc 6.27 lib/health).
//
// A window of four ticks. A tick with fewer than four responses and timeouts says nothing. Offline after
// two ticks in a row without any response; degraded while all four ticks had more timeouts than responses.
// Pure state.
#pragma once

#include <array>
#include <cstdint>

#include "dht/node.h"

namespace hg::dht {

class HealthMonitor {
 public:
  /// Once per tick, with the running totals. Returns the verdict.
  Health update(uint64_t responses, uint64_t timeouts);
  void reset() { *this = HealthMonitor(); }
  Health verdict() const { return !online_ ? Health::kOffline : degraded_ ? Health::kDegraded : Health::kOnline; }

 private:
  enum class Mark : uint8_t { kNone, kHealthy, kDegraded, kOffline };
  static constexpr size_t kWindow = 4;

  struct Tick {
    uint64_t responses = 0;
    uint64_t timeouts = 0;
    Mark mark = Mark::kNone;
  };
  std::array<Tick, kWindow> window_{};
  size_t filled_ = 0;
  size_t head_ = kWindow - 1;
  size_t offline_ticks_ = 0;
  bool online_ = true;
  bool degraded_ = false;
};

}  // namespace hg::dht
