// What the swarm remembers of a peer it found, and when to try it again.
//
// Retry rules of npm hyperswarm 4.17 (lib/peer-info, lib/retry-timer), with two exceptions. No peer is ever given
// up while lookups still show it: beyond three attempts the long delay stays. And a failure ranks high only where a
// connection was confirmed before: anybody can announce keys that lead nowhere. Plain data, owned by the swarm.
#pragma once

#include <algorithm>
#include <vector>

#include "base/endpoint.h"
#include "base/ids.h"
#include "base/rng.h"
#include "base/time.h"

namespace hg::swarm {

struct Voice;

struct PeerRecord {
  static constexpr Duration kShort = 1s;
  static constexpr Duration kMedium = 5s;
  static constexpr Duration kLong = 15s;
  static constexpr Duration kProvenAfter = 15s;                       // a connection this long resets the attempts
  static constexpr Duration kForgetAfter = std::chrono::minutes(30);  // unseen by lookups: its records have expired

  static constexpr size_t kMaxNamers = 16;
  static constexpr int kReconnect = 3;  // a priority from which on it is about a connection that was confirmed and lost

  PublicKey key{};
  std::vector<Endpoint> relay_addresses;
  std::vector<Topic> topics;
  std::vector<Voice*> named_by;  // hosts of the DHT, the first kMaxNamers (voices.h)
  int attempts = 0;
  bool proven = false;       // a connection to it was confirmed
  bool relay_first = false;  // a relay helps: direct ways failed, or the last connection went through one
  int relay_tries = 0;       // attempts at once for the sake of a relay, since the last success
  bool queued = false;
  TimePoint seen_at{};
  TimePoint connected_at{};
  TimePoint retry_at{};  // not before

  /// Higher goes first.
  int priority() const {
    if (!proven) return attempts == 0 ? 2 : attempts == 1 ? 1 : 0;
    switch (attempts) {
      case 0:
        return 2;
      case 1:
        return 4;
      case 2:
        return 3;
      case 3:
        return 1;
      default:
        return 0;
    }
  }

  /// Two thirds to four thirds of the back-off.
  Duration retry_delay(Rng& rng) const {
    const Duration base = attempts == 0   ? kShort
                          : proven        ? (attempts == 1   ? kShort
                                             : attempts == 2 ? kMedium
                                                             : kLong)
                          : attempts == 1 ? kMedium
                                          : kLong;
    return base * 2 / 3 + std::chrono::milliseconds(rng.below(static_cast<uint32_t>(to_ms(base) * 2 / 3 + 1)));
  }

  bool was_named_by(const Voice* voice) const { return std::find(named_by.begin(), named_by.end(), voice) != named_by.end(); }

  bool add_topic(const Topic& topic) {
    for (const Topic& known : topics)
      if (known == topic) return false;
    topics.push_back(topic);
    return true;
  }
};

}  // namespace hg::swarm
