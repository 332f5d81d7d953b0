// A bounded cache of two generations (as npm xache and record-cache): entries are set in the young one;
// rotate() makes it the old one and drops what was old. Called every two thirds of the maximum age, that
// gives lifetimes of 0.66 to 1.33 of it. A full young generation rotates early; one host alone does not fill it (host_shares.h).
//
// Counts entries and, where a cost function is given, bytes. Owned by Storage; one thread.
#pragma once

#include <unordered_map>

#include "base/ids.h"
#include "dht/host_shares.h"

namespace hg::dht {

template <class Value>
class GenerationCache {
 public:
  using Cost = size_t (*)(const Value&);

  explicit GenerationCache(size_t max_entries, size_t max_cost = SIZE_MAX, Cost cost_of = nullptr)
      : max_entries_(max_entries), max_cost_(max_cost), cost_(cost_of), entries_by_host_(max_entries), cost_by_host_(max_cost) {}

  /// False: `host`, an IPv4 address, has its share already.
  bool set(const Hash32& key, Value value, uint32_t host) {
    if (!has_room(key, value, host)) return false;
    erase(key);
    insert(key, {std::move(value), host});
    return true;
  }
  /// Valid until the next change.
  const Value* get(const Hash32& key) const {
    if (const auto found = young_.find(key); found != young_.end()) return &found->second.value;
    if (const auto found = old_.find(key); found != old_.end()) return &found->second.value;
    return nullptr;
  }
  /// As get(), and the entry becomes young again where its host has room.
  const Value* use(const Hash32& key) {
    const auto found = old_.find(key);
    if (found != old_.end() && has_room(key, found->second.value, found->second.host)) {
      Entry entry = std::move(found->second);
      old_.erase(found);
      insert(key, std::move(entry));
    }
    return get(key);
  }
  void erase(const Hash32& key) {
    if (const auto found = young_.find(key); found != young_.end()) {
      const size_t bytes = cost(found->second.value);
      young_cost_ -= bytes;
      entries_by_host_.remove(found->second.host, 1);
      cost_by_host_.remove(found->second.host, bytes);
      young_.erase(found);
    }
    old_.erase(key);
  }
  void rotate() {
    rotated_ = true;
    old_ = std::move(young_);
    young_.clear();
    young_cost_ = 0;
    entries_by_host_.clear();
    cost_by_host_.clear();
  }
  /// The periodic call: skipped once when a full generation has rotated meanwhile.
  void age() {
    if (!rotated_) rotate();
    rotated_ = false;
  }
  size_t size() const { return young_.size() + old_.size(); }

 private:
  struct Entry {
    Value value;
    uint32_t host;
  };
  using Map = std::unordered_map<Hash32, Entry, ArrayHash>;

  size_t cost(const Value& value) const { return cost_ == nullptr ? 0 : cost_(value); }
  bool has_room(const Hash32& key, const Value& value, uint32_t host) const {
    const auto young = young_.find(key);
    const bool own = young != young_.end() && young->second.host == host;
    return entries_by_host_.has_room(host, 1, own ? 1 : 0) &&
           cost_by_host_.has_room(host, cost(value), own ? cost(young->second.value) : 0);
  }
  void insert(const Hash32& key, Entry entry) {
    const size_t bytes = cost(entry.value);
    young_cost_ += bytes;
    entries_by_host_.add(entry.host, 1);
    cost_by_host_.add(entry.host, bytes);
    young_.emplace(key, std::move(entry));
    if (young_.size() >= max_entries_ || young_cost_ > max_cost_) rotate();
  }

  size_t max_entries_;
  size_t max_cost_;
  Cost cost_;
  size_t young_cost_ = 0;
  bool rotated_ = false;
  Map young_;
  Map old_;
  HostShares entries_by_host_;  // in the young generation
  HostShares cost_by_host_;
};

}  // namespace hg::dht
