// The metrics of a member in the Prometheus text format.
#pragma once

#include <optional>
#include <string>

#include "app/relay_role.h"
#include "dht/node.h"
#include "relay/gate_set.h"
#include "tunnel/node.h"

namespace hg::app {

/// False in a build without prometheus-cpp.
bool has_metrics();

struct MetricsSources {
  Duration uptime{};
  // All null while the program starts.
  const tunnel::Node* node = nullptr;
  const dht::Node* dht = nullptr;
  const relay::GateSet* gates = nullptr;  // also without the gateway role
  std::optional<RelayFigures> relay;      // nullopt: it relays for nobody
};

/// Of gates and services the kMostMeasured with the most bytes.
inline constexpr size_t kMostMeasured = 256;
std::string render_metrics(const MetricsSources& sources);

}  // namespace hg::app
