// What each host has put into one generation of a cache. One host may fill half of it: what others stored stays, whatever he announces.
//
// Owned by a cache; one thread. As many entries as hosts that hold something.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace hg::dht {

class HostShares {
 public:
  /// `whole`: what the generation holds, in the units of `amount`.
  explicit HostShares(size_t whole) : most_(whole / 2) {}

  /// For `amount` more in place of `freed`.
  bool has_room(uint32_t host, size_t amount, size_t freed) const {
    const auto found = held_.find(host);
    return (found == held_.end() ? 0 : found->second) - freed + amount <= most_;
  }
  void add(uint32_t host, size_t amount) {
    if (amount > 0) held_[host] += amount;
  }
  void remove(uint32_t host, size_t amount) {
    const auto found = held_.find(host);
    if (found != held_.end() && (found->second -= amount) == 0) held_.erase(found);
  }
  void clear() { held_.clear(); }

 private:
  size_t most_;
  std::unordered_map<uint32_t, size_t> held_;
};

}  // namespace hg::dht
