// The metrics of a member in the Prometheus text format.
#pragma once

#include <optional>
#include <string>

#include "app/relay_role.h"
#include "dht/node.h"
#include "tunnel/node.h"

namespace hg::app {

/// False in a build without prometheus-cpp.
bool has_metrics();
/// `node` and `dht` may be null while the program starts; `relay`: nullopt for a member that relays for nobody.
std::string render_metrics(const tunnel::Node* node, tunnel::Gateway* gateway, const dht::Node* dht,
                           const std::optional<RelayFigures>& relay, double uptime_seconds);

}  // namespace hg::app
