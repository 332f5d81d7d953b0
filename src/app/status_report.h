// What a running member says of itself: the answer to GET /status, as JSON. `hypergate status` and the page are made from it.
//
// It reads what the parts keep for themselves; nothing is kept for it but the last warnings and a few readings of counters.
//
// Bounds: kMostListed entries of each list, kMostNamed names in one entry; "count" says how many there are. What is wrong comes first, so
// that it is not what is cut; of gates and services those with the most bytes stay then.
//
// Addresses (peers', clients', services', those in warnings), keys and the router's name are for who asks from this machine. Anybody else
// gets null in their place, and keys of 4 bytes as in the metrics.
#pragma once

#include <boost/json.hpp>
#include <optional>

#include "app/recent_warnings.h"
#include "app/relay_role.h"
#include "app/traffic_rate.h"
#include "dht/node.h"
#include "relay/gate_set.h"
#include "tunnel/node.h"

namespace hg::app {

inline constexpr size_t kMostListed = 256;
inline constexpr size_t kMostNamed = 8;

struct StatusSources {
  TimePoint now;
  int64_t wall_ms = 0;
  Duration uptime{};
  const RecentWarnings& warnings;
  // All null while the program starts.
  const tunnel::Node* node = nullptr;
  const dht::Node* dht = nullptr;
  const TrafficRate* rate = nullptr;
  const relay::GateSet* gates = nullptr;  // also without the gateway role
  std::optional<RelayFigures> relay;      // nullopt: it relays for nobody
  std::optional<PublicKey> router;        // its name
};

/// `everything`: with what is for this machine only.
boost::json::object status_report(const StatusSources& sources, bool everything);

/// For TrafficRate.
TrafficRate::Reading read_traffic(const tunnel::Node& node);

}  // namespace hg::app
