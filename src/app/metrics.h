// The metrics of a member in the Prometheus text format.
#pragma once

#include <string>

#include "dht/node.h"
#include "tunnel/node.h"

namespace hg::app {

/// False in a build without prometheus-cpp.
bool has_metrics();
/// `node` and `dht` may be null while the program starts.
std::string render_metrics(const tunnel::Node* node, tunnel::Gateway* gateway, const dht::Node* dht, double uptime_seconds);

}  // namespace hg::app
