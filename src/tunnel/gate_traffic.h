// The traffic of each gate to which a client has come. It stays while the gate is closed: its provider may be back.
//
// Bound: beyond kMost those are forgotten that no provider offers and no channel uses; again beyond twice what had to stay, so that looking
// for them costs little each.
//
// Owned by Gateway. One thread.
#pragma once

#include <algorithm>
#include <map>
#include <memory>

#include "tunnel/route_table.h"
#include "tunnel/traffic.h"

namespace hg::tunnel {

class GateTraffic {
 public:
  static constexpr size_t kMost = kMaxServices;

  /// For a new channel. `offered(gate)`: a provider has it.
  template <class Offered>
  std::shared_ptr<Traffic> of(GateKey gate, Offered&& offered) {
    if (const auto known = gates_.find(gate); known != gates_.end()) return known->second;
    if (gates_.size() >= most_) {
      std::erase_if(gates_, [&](const auto& entry) { return entry.second.use_count() == 1 && !offered(entry.first); });
      most_ = std::max(kMost, 2 * gates_.size());
    }
    return gates_.emplace(gate, std::make_shared<Traffic>()).first->second;
  }
  /// nullptr: nobody has come to it.
  std::shared_ptr<const Traffic> find(GateKey gate) const {
    const auto known = gates_.find(gate);
    return known == gates_.end() ? nullptr : known->second;
  }
  const std::map<GateKey, std::shared_ptr<Traffic>>& all() const { return gates_; }

 private:
  std::map<GateKey, std::shared_ptr<Traffic>> gates_;
  size_t most_ = kMost;
};

}  // namespace hg::tunnel
