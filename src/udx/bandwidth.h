// Rates that what is relayed keeps to: one pair's own, and one that all pairs share.
//
//   take() ─ nobody waits and there is room ─▶ now          wait() ─▶ served in turns as room comes ─▶ serve() … until it says "enough"
//
// Turns go by bytes (start-time fair queueing): who has been served least since it began to wait is next, so a pair that came late gets as
// much as one that had all before. Owner: whoever relays. One thread. Rates in bytes a second.
#pragma once

#include <vector>

#include "base/runtime.h"

namespace hg::udx {

/// A token bucket that starts full.
class Bandwidth {
 public:
  /// Holds `burst` bytes, at least one datagram of any size a network carries unfragmented.
  Bandwidth(uint64_t bytes_per_second, size_t burst);

  /// What it holds stays, as far as there is room.
  void set_rate(uint64_t bytes_per_second, size_t burst, TimePoint now);
  size_t burst() const { return static_cast<size_t>(capacity_); }
  bool allows(size_t bytes, TimePoint now);
  void take(size_t bytes) { tokens_ -= static_cast<double>(bytes); }
  /// When allows(bytes) will hold if nobody else takes any.
  TimePoint ready_at(size_t bytes, TimePoint now);

 private:
  void refill(TimePoint now);

  double rate_;
  double capacity_;
  double tokens_;
  TimePoint filled_at_{};
};

class SharedBandwidth {
 public:
  /// Has something to send that needs room.
  class Waiter {
   public:
    virtual ~Waiter() = default;
    /// Bytes of what is next; asked only while it waits.
    virtual size_t next_bytes() const = 0;
    /// Sends that; false: nothing more for now, it waits no longer.
    virtual bool serve() = 0;

   private:
    friend class SharedBandwidth;
    uint64_t served_ = 0;
    bool waiting_ = false;
  };

  SharedBandwidth(Runtime& runtime, uint64_t bytes_per_second, size_t burst);

  /// Room for so many bytes at once, without overtaking who waits.
  bool take(size_t bytes);
  /// Its turns come until serve() says that there is no more. The waiter must leave() before it goes away.
  void wait(Waiter& waiter);
  void leave(Waiter& waiter);

 private:
  void run();

  Runtime& runtime_;
  Bandwidth bucket_;
  std::vector<Waiter*> waiting_;
  uint64_t turn_ = 0;  // what the waiter served last had been given before
  Timer timer_;
};

}  // namespace hg::udx
