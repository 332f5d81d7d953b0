// How fast bytes have gone lately: what the counters said up to kSpan ago, beside what they say now. It reads counters every kEvery and
// touches no data path. Owned by StatusEndpoint. One thread.
//
// Three readings are kept; in each a gate or service that had a client takes 80 bytes, 4096 of them 1 MB in all.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>

#include "base/ids.h"
#include "base/runtime.h"
#include "tunnel/traffic.h"

namespace hg::app {

/// Bytes each way, or bytes a second.
struct BothWays {
  double out = 0;  // to peers
  double in = 0;
};

inline BothWays both_ways(const tunnel::Traffic& traffic) {
  return {static_cast<double>(traffic.to_peers), static_cast<double>(traffic.from_peers)};
}

class TrafficRate {
 public:
  static constexpr Duration kEvery = std::chrono::seconds(5);
  static constexpr Duration kSpan = std::chrono::seconds(15);

  struct Reading {
    BothWays total;                                                                     // payload of channels
    std::unordered_map<PublicKey, BothWays, ArrayHash> peers;                           // of each connection, with what the protocol adds
    std::map<std::weak_ptr<const tunnel::Traffic>, BothWays, std::owner_less<>> parts;  // payload of each gate and service
  };

  /// `read` gives the counters as they are.
  TrafficRate(Runtime& runtime, std::function<Reading()> read);

  /// Bytes a second since the oldest reading kept; nullopt: there was no time yet.
  std::optional<BothWays> total(const BothWays& now) const;
  std::optional<BothWays> of_peer(const PublicKey& peer, const BothWays& now) const;
  /// Of a gate or service; null: it has carried nothing yet.
  std::optional<BothWays> of_part(const std::shared_ptr<const tunnel::Traffic>& part) const;

 private:
  void take();
  std::optional<BothWays> since(const BothWays& then, const BothWays& now) const;

  Runtime& runtime_;
  const std::function<Reading()> read_;
  std::deque<std::pair<TimePoint, Reading>> readings_;  // oldest first, not empty
  Timer timer_;
};

}  // namespace hg::app
