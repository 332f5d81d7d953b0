#include "base/timer.h"

#include <algorithm>

namespace hg {

void Timer::arm(TimePoint at) {
  if (armed()) queue_->remove(*this);
  at_ = at;
  queue_->insert(*this);
}

void Timer::disarm() {
  if (armed()) queue_->remove(*this);
}

std::optional<TimePoint> TimerQueue::next_deadline() const {
  if (heap_.empty()) return std::nullopt;
  return heap_.front()->at_;
}

void TimerQueue::run_due(TimePoint now) {
  // A timer waiting in due_ at index i has the slot kIdle - 1 - i, far above any heap slot.
  while (!heap_.empty() && heap_.front()->at_ <= now) {
    Timer* timer = heap_.front();
    remove(*timer);
    timer->slot_ = Timer::kIdle - 1 - due_.size();
    due_.push_back(timer);
  }
  for (size_t i = 0; i < due_.size(); ++i) {
    Timer* timer = due_[i];
    if (timer == nullptr) continue;
    due_[i] = nullptr;
    timer->slot_ = Timer::kIdle;
    const auto callback = timer->callback_;  // the callback may destroy its timer
    callback();
  }
  due_.clear();
}

void TimerQueue::insert(Timer& timer) {
  heap_.push_back(nullptr);
  place(heap_.size() - 1, &timer);
  move_up(timer.slot_);
}

void TimerQueue::remove(Timer& timer) {
  const size_t slot = timer.slot_;
  timer.slot_ = Timer::kIdle;
  if (slot >= heap_.size()) {
    due_[Timer::kIdle - 1 - slot] = nullptr;
    return;
  }
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last == &timer) return;
  place(slot, last);
  move_up(slot);
  move_down(last->slot_);
}

void TimerQueue::place(size_t slot, Timer* timer) {
  heap_[slot] = timer;
  timer->slot_ = slot;
}

void TimerQueue::move_up(size_t slot) {
  Timer* timer = heap_[slot];
  while (slot > 0) {
    const size_t parent = (slot - 1) / 2;
    if (!earlier(*timer, *heap_[parent])) break;
    place(slot, heap_[parent]);
    slot = parent;
  }
  place(slot, timer);
}

void TimerQueue::move_down(size_t slot) {
  Timer* timer = heap_[slot];
  for (;;) {
    size_t child = 2 * slot + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && earlier(*heap_[child + 1], *heap_[child])) ++child;
    if (!earlier(*heap_[child], *timer)) break;
    place(slot, heap_[child]);
    slot = child;
  }
  place(slot, timer);
}

}  // namespace hg
