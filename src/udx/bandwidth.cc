#include "udx/bandwidth.h"

#include <algorithm>
#include <cmath>

namespace hg::udx {
namespace {

constexpr size_t kLeastBurst = 16 * 1024;  // ten full datagrams: what a sender's first window is
constexpr Duration kShortestWait = 500us;  // between two looks at who waits

}  // namespace

// ── Bandwidth ──

Bandwidth::Bandwidth(uint64_t bytes_per_second, size_t burst)
    : rate_(static_cast<double>(std::max<uint64_t>(bytes_per_second, 1))),
      capacity_(static_cast<double>(std::max(burst, kLeastBurst))),
      tokens_(capacity_) {}

void Bandwidth::set_rate(uint64_t bytes_per_second, size_t burst, TimePoint now) {
  refill(now);
  rate_ = static_cast<double>(std::max<uint64_t>(bytes_per_second, 1));
  capacity_ = static_cast<double>(std::max(burst, kLeastBurst));
  tokens_ = std::min(tokens_, capacity_);
}

void Bandwidth::refill(TimePoint now) {
  if (now <= filled_at_) return;
  if (filled_at_ != TimePoint{}) tokens_ = std::min(capacity_, tokens_ + to_seconds(now - filled_at_) * rate_);
  filled_at_ = now;
}

bool Bandwidth::allows(size_t bytes, TimePoint now) {
  refill(now);
  return tokens_ >= std::min(static_cast<double>(bytes), capacity_);
}

TimePoint Bandwidth::ready_at(size_t bytes, TimePoint now) {
  refill(now);
  const double missing = std::min(static_cast<double>(bytes), capacity_) - tokens_;
  return missing <= 0 ? now : now + Duration(static_cast<int64_t>(std::ceil(missing / rate_ * 1e9)));
}

// ── SharedBandwidth ──

SharedBandwidth::SharedBandwidth(Runtime& runtime, uint64_t bytes_per_second, size_t burst)
    : runtime_(runtime), bucket_(bytes_per_second, burst), timer_(runtime.timers(), [this] { run(); }) {}

bool SharedBandwidth::take(size_t bytes) {
  if (!waiting_.empty() || !bucket_.allows(bytes, runtime_.now())) return false;
  bucket_.take(bytes);
  return true;
}

void SharedBandwidth::wait(Waiter& waiter) {
  if (waiter.waiting_) return;
  waiter.waiting_ = true;
  waiter.served_ = std::max(waiter.served_, turn_);
  waiting_.push_back(&waiter);
  if (!timer_.armed()) run();
}

void SharedBandwidth::leave(Waiter& waiter) {
  if (!waiter.waiting_) return;
  waiter.waiting_ = false;
  std::erase(waiting_, &waiter);
}

void SharedBandwidth::run() {
  const TimePoint now = runtime_.now();
  while (!waiting_.empty()) {
    Waiter& next =
        **std::min_element(waiting_.begin(), waiting_.end(), [](const Waiter* a, const Waiter* b) { return a->served_ < b->served_; });
    const size_t bytes = next.next_bytes();
    if (!bucket_.allows(bytes, now)) return timer_.arm(std::max(bucket_.ready_at(bytes, now), now + kShortestWait));
    bucket_.take(bytes);
    turn_ = next.served_;
    next.served_ += bytes;
    if (!next.serve()) leave(next);
  }
}

}  // namespace hg::udx
