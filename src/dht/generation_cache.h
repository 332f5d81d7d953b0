// A bounded cache of two generations (as npm xache and record-cache): entries are set in the young one;
// rotate() makes it the old one and drops what was old. Called every two thirds of the maximum age, that
// gives lifetimes of 0.66 to 1.33 of it. A full young generation rotates early.
//
// Counts entries and, where a cost function is given, bytes. Owned by Storage; one thread.
#pragma once

#include <functional>
#include <unordered_map>

#include "base/ids.h"

namespace hg::dht {

template <class Value>
class GenerationCache {
 public:
  using Map = std::unordered_map<Hash32, Value, ArrayHash>;
  using Cost = size_t (*)(const Value&);

  GenerationCache(size_t max_entries, size_t max_cost = SIZE_MAX, Cost cost_of = nullptr)
      : max_entries_(max_entries), max_cost_(max_cost), cost_(cost_of) {}

  void set(const Hash32& key, Value value) {
    erase(key);
    young_cost_ += cost(value);
    young_.emplace(key, std::move(value));
    if (young_.size() >= max_entries_ || young_cost_ > max_cost_) rotate();
  }
  /// Valid until the next change.
  const Value* get(const Hash32& key) const {
    if (const auto found = young_.find(key); found != young_.end()) return &found->second;
    if (const auto found = old_.find(key); found != old_.end()) return &found->second;
    return nullptr;
  }
  /// As get(), and the entry becomes young again.
  const Value* use(const Hash32& key) {
    if (const auto found = old_.find(key); found != old_.end()) {
      Value value = std::move(found->second);
      old_.erase(found);
      set(key, std::move(value));
    }
    return get(key);
  }
  void erase(const Hash32& key) {
    if (const auto found = young_.find(key); found != young_.end()) {
      young_cost_ -= cost(found->second);
      young_.erase(found);
    }
    old_.erase(key);
  }
  void rotate() {
    rotated_ = true;
    old_ = std::move(young_);
    young_.clear();
    young_cost_ = 0;
  }
  /// The periodic call: skipped once when a full generation has rotated meanwhile.
  void age() {
    if (!rotated_) rotate();
    rotated_ = false;
  }
  size_t size() const { return young_.size() + old_.size(); }

 private:
  size_t cost(const Value& value) const { return cost_ == nullptr ? 0 : cost_(value); }

  size_t max_entries_;
  size_t max_cost_;
  Cost cost_;
  size_t young_cost_ = 0;
  bool rotated_ = false;
  Map young_;
  Map old_;
};

}  // namespace hg::dht
