// How fast bytes have gone lately: what the counters said up to kSpan ago, beside what they say now. It reads counters every kEvery and
// touches no data path. Owned by StatusEndpoint. One thread.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>

#include "base/ids.h"
#include "base/runtime.h"

namespace hg::app {

/// Bytes each way, or bytes a second.
struct BothWays {
  double out = 0;  // to peers
  double in = 0;
};

class TrafficRate {
 public:
  static constexpr Duration kEvery = std::chrono::seconds(5);
  static constexpr Duration kSpan = std::chrono::seconds(15);

  struct Reading {
    BothWays total;                                            // payload of channels
    std::unordered_map<PublicKey, BothWays, ArrayHash> peers;  // of each connection, with what the protocol adds
  };

  /// `read` gives the counters as they are.
  TrafficRate(Runtime& runtime, std::function<Reading()> read);

  /// Bytes a second since the oldest reading kept; nullopt: there was no time yet.
  std::optional<BothWays> total(const BothWays& now) const;
  std::optional<BothWays> of_peer(const PublicKey& peer, const BothWays& now) const;

 private:
  void take();
  std::optional<BothWays> since(const BothWays& then, const BothWays& now) const;

  Runtime& runtime_;
  const std::function<Reading()> read_;
  std::deque<std::pair<TimePoint, Reading>> readings_;  // oldest first, not empty
  Timer timer_;
};

}  // namespace hg::app
