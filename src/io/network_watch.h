// Tells at once when this machine is on another network, or has slept.
//
//   rtnetlink: addresses, links, routes ─▶ wait until it is calm ─▶ another fingerprint? ─▶ on_change
//   every second: did boot time run ahead of monotonic time (suspend), or are we late ourselves (stopped)? ─▶ on_wakeup
//
// The fingerprint is what packets depend on: the IPv4 addresses, the default routes, and whether their interfaces run; so most of
// a container engine's comings and goings are passed over. Without rtnetlink (a sandbox) on_change is
// never called: the DHT node looks at the addresses every few seconds by itself. Owned by app; one thread, the loop's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/timer.h"
#include "io/descriptor_watch.h"

namespace hg::io {

/// Tells sleep from the passing of time. Pure state.
class SleepDetector {
 public:
  static constexpr Duration kSlept = 2s;  // boot time ahead of monotonic time
  static constexpr Duration kLate = 4s;   // a check that comes so much late: the process was stopped, or the machine frozen

  /// Monotonic time and boot time (which goes on while the machine sleeps), each time `every` has passed. True: we slept.
  bool check(Duration monotonic, Duration boot, Duration every);

 private:
  bool first_ = true;
  Duration monotonic_{};
  Duration boot_{};
};

class NetworkWatch {
 public:
  NetworkWatch(Loop& loop, std::function<void()> on_change, std::function<void()> on_wakeup);
  ~NetworkWatch();

  /// What the kernel says now, as comparable text; nullopt: it cannot be asked, for lack of a descriptor.
  static std::optional<std::string> fingerprint();

 private:
  static constexpr Duration kCalm = 50ms;   // a change comes as a volley of messages
  static constexpr Duration kLongest = 1s;  // but is not waited for longer than this
  static constexpr Duration kCheckSleep = 1s;

  void open_netlink();
  void on_readable();
  void on_calm();
  void check_sleep();

  Loop& loop_;
  std::function<void()> on_change_;
  std::function<void()> on_wakeup_;
  std::optional<std::string> known_;
  std::unique_ptr<DescriptorWatch> netlink_;
  std::optional<TimePoint> volley_began_;
  SleepDetector sleep_;
  Timer calm_timer_;
  Timer sleep_timer_;
};

}  // namespace hg::io
