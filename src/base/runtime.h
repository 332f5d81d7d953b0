// What protocol code may ask of the world. io::Loop is the real one, sim::World the virtual one.
// A Runtime outlives everything that was given it. One thread.
#pragma once

#include <functional>

#include "base/rng.h"
#include "base/time.h"
#include "base/timer.h"
#include "base/udp_socket.h"

namespace hg {

class Runtime {
 public:
  virtual ~Runtime() = default;
  /// Monotonic; constant while one batch of datagrams, one timer or one posted task runs.
  virtual TimePoint now() const = 0;
  /// Unix time in milliseconds.
  virtual int64_t wall_ms() const = 0;
  virtual TimerQueue& timers() = 0;
  virtual Rng& rng() = 0;
  virtual UdpNetwork& network() = 0;
  /// Runs `task` after the callback that is running now has returned, before the loop sleeps.
  virtual void post(std::function<void()> task) = 0;
};

}  // namespace hg
