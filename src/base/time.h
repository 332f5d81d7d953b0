// Time as protocol code sees it. TimePoint is monotonic and constant within one batch of datagrams.
#pragma once

#include <chrono>
#include <cstdint>

namespace hg {

using namespace std::chrono_literals;

using Duration = std::chrono::nanoseconds;
struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  static constexpr bool is_steady = true;
  using time_point = std::chrono::time_point<MonotonicClock, Duration>;
};
using TimePoint = MonotonicClock::time_point;

constexpr int64_t to_ms(Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }
constexpr double to_seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace hg
