#include "tunnel/shaper.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace hg::tunnel {

namespace {

constexpr double kBytesPerMbit = 1e6 / 8;
constexpr double kLeastCapacity = 1500;  // one packet: below, a turn would move single bytes
constexpr double kTurnSeconds = 0.005;   // of the rate, the size of a turn
constexpr double kLateSeconds = 1;       // of the rate, kept beyond a full bucket while somebody waits: a busy machine may stall that long
constexpr Duration kLeastWait = 1ms;     // fewer, larger turns at high rates

size_t quantum_of(double rate, double capacity) {
  return static_cast<size_t>(std::min(std::clamp(rate * kTurnSeconds, kLeastCapacity, static_cast<double>(kMaxStreamBody)), capacity));
}

}  // namespace

void ShapedSide::use(std::shared_ptr<Bucket> bucket) {
  leave();
  bucket_ = std::move(bucket);
}

void ShapedSide::leave() {
  if (bucket_ == nullptr) return;
  if (bucket_->turn_ == this) bucket_->turn_ = nullptr;
  if (waiting_) bucket_->dequeue(*this);
}

size_t ShapedSide::grant(size_t want) {
  if (bucket_ == nullptr) return want;
  Bucket& bucket = *bucket_;
  bucket.refill();
  const bool my_turn = bucket.turn_ == this;
  const size_t most = my_turn ? std::min(want, bucket.turn_left_) : want;
  const size_t need = std::min(want, bucket.quantum_);
  const bool may = my_turn ? most > 0 && bucket.tokens_ >= 1 : bucket.first_ == nullptr && bucket.tokens_ >= static_cast<double>(need);
  if (may) return std::min(most, static_cast<size_t>(bucket.tokens_));
  bucket.enqueue(*this, bucket.quantum_);
  return 0;
}

bool ShapedSide::grant_whole(size_t size) {
  if (bucket_ == nullptr) return true;
  Bucket& bucket = *bucket_;
  bucket.refill();
  const bool may_try = bucket.turn_ == this ? bucket.turn_left_ > 0 : bucket.first_ == nullptr;
  if (may_try && bucket.tokens_ >= bucket.needed(size)) return true;
  bucket.enqueue(*this, std::max(size, bucket.quantum_));
  return false;
}

void ShapedSide::charge(size_t bytes) {
  if (bucket_ == nullptr) return;
  bucket_->tokens_ -= static_cast<double>(bytes);
  if (bucket_->turn_ == this) bucket_->turn_left_ -= std::min(bytes, bucket_->turn_left_);
}

Bucket::Bucket(Runtime& runtime, Counters& counters, const BandwidthLimit& limit)
    : runtime_(runtime),
      counters_(counters),
      rate_(limit.mbps * kBytesPerMbit),
      capacity_(std::max(limit.burst_mbps * kBytesPerMbit, kLeastCapacity)),
      quantum_(quantum_of(rate_, capacity_)),
      tokens_(capacity_),
      filled_at_(runtime.now()),
      timer_(runtime.timers(), [this] { run(); }) {}

double Bucket::needed(size_t need) const { return std::min(static_cast<double>(need), capacity_); }

void Bucket::refill() {
  const TimePoint now = runtime_.now();
  if (now <= filled_at_) return;
  const double limit = first_ == nullptr ? capacity_ : capacity_ + rate_ * kLateSeconds;
  tokens_ = std::max(tokens_, std::min(tokens_ + rate_ * to_seconds(now - filled_at_), limit));
  filled_at_ = now;
}

bool Bucket::full() {
  refill();
  return first_ == nullptr && tokens_ >= capacity_;
}

std::string Bucket::describe() {
  refill();
  return fmt::format("limit {:g} Mbit/s, burst {:g} Mbit, {:.0f} bytes left, {} waiting", rate_ / kBytesPerMbit, capacity_ / kBytesPerMbit,
                     std::max(tokens_, 0.0), waiting_);
}

void Bucket::enqueue(ShapedSide& side, size_t need) {
  side.need_ = need;
  if (side.waiting_) return;
  side.waiting_ = true;
  side.since_ = runtime_.now();
  side.next_ = nullptr;
  side.previous_ = last_;
  (last_ == nullptr ? first_ : last_->next_) = &side;
  last_ = &side;
  ++waiting_;
  ++counters_.shaping_waits;
  if (turn_ == &side) turn_ = nullptr;
  if (!timer_.armed()) arm();
}

void Bucket::dequeue(ShapedSide& side) {
  side.waiting_ = false;
  (side.previous_ == nullptr ? first_ : side.previous_->next_) = side.next_;
  (side.next_ == nullptr ? last_ : side.next_->previous_) = side.previous_;
  --waiting_;
  counters_.shaping_delay += runtime_.now() - side.since_;
}

void Bucket::arm() {
  const double missing = needed(first_->need_) - tokens_;
  const Duration wait = missing <= 0 ? Duration{} : Duration(static_cast<int64_t>(std::ceil(missing / rate_ * 1e9)));
  timer_.arm(runtime_.now() + std::max(wait, kLeastWait));
}

/// Turns, as far as the tokens reach: each begins with enough for all of it, so that turns are equal.
void Bucket::run() {
  const auto self = shared_from_this();
  refill();
  double before = tokens_;
  size_t round = waiting_;
  while (first_ != nullptr && tokens_ >= needed(first_->need_)) {
    ShapedSide& side = *first_;
    dequeue(side);
    turn_ = &side;
    turn_left_ = std::max(quantum_, side.need_);
    const auto on_turn = side.on_turn_;  // the side may be destroyed in there
    on_turn();
    turn_ = nullptr;
    if (round-- > 1) continue;
    if (tokens_ >= before) break;  // a whole round took nothing: let the loop turn
    before = tokens_;
    round = waiting_;
  }
  if (first_ != nullptr) arm();
}

std::shared_ptr<Bucket> Shaper::bucket(const std::string& client, const IngressRule& rule) {
  std::string key = fmt::format("{} {} {} {}", client, rule.pattern, rule.bandwidth->mbps, rule.bandwidth->burst_mbps);
  const auto found = buckets_.find(key);
  if (found != buckets_.end()) return found->second;
  if (buckets_.size() >= sweep_at_) forget_idle();
  return buckets_.emplace(std::move(key), std::make_shared<Bucket>(runtime_, counters_, *rule.bandwidth)).first->second;
}

void Shaper::forget_idle() {
  std::erase_if(buckets_, [](const auto& entry) { return entry.second.use_count() == 1 && entry.second->full(); });
  if (buckets_.size() >= kMaxBuckets) std::erase_if(buckets_, [](const auto& entry) { return entry.second.use_count() == 1; });
  sweep_at_ = std::min(kMaxBuckets, std::max<size_t>(64, 2 * buckets_.size()));
}

}  // namespace hg::tunnel
