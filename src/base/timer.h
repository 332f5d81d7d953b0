// Timers: a binary heap of deadlines that a loop (real or virtual) drives.
//
//   Timer t(queue, [] { … });   t.arm(at);   t.disarm();   // destruction disarms
//
// Re-arming moves the entry inside the heap; nothing is allocated. A callback may arm, disarm or
// destroy any timer, its own included. One thread.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "base/time.h"

namespace hg {

class TimerQueue;

class Timer {
 public:
  Timer(TimerQueue& queue, std::function<void()> callback) : queue_(&queue), callback_(std::move(callback)) {}
  ~Timer() { disarm(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Fires once at `at` (or in the next turn if that has passed); replaces an earlier deadline.
  void arm(TimePoint at);
  void disarm();
  bool armed() const { return slot_ != kIdle; }
  TimePoint deadline() const { return at_; }

 private:
  friend class TimerQueue;
  static constexpr size_t kIdle = std::numeric_limits<size_t>::max();

  TimerQueue* queue_;
  std::function<void()> callback_;
  TimePoint at_{};
  size_t slot_ = kIdle;
};

class TimerQueue {
 public:
  TimerQueue() = default;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  std::optional<TimePoint> next_deadline() const;
  /// Fires every timer due at or before `now`, in order of deadline. A timer armed meanwhile for a time at or before `now` waits for the
  /// next call.
  void run_due(TimePoint now);
  size_t size() const { return heap_.size(); }

 private:
  friend class Timer;
  void insert(Timer& timer);
  void remove(Timer& timer);
  void move_up(size_t slot);
  void move_down(size_t slot);
  void place(size_t slot, Timer* timer);
  static bool earlier(const Timer& a, const Timer& b) { return a.at_ < b.at_; }

  std::vector<Timer*> heap_;
  std::vector<Timer*> due_;  // being fired; destroyed timers are nulled
};

}  // namespace hg
