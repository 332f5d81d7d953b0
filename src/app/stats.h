// The periodic statistics line: gates and channels as the TypeScript program prints them, then traffic, what was refused or dropped and
// why, waiting for bandwidth, what was passed on for other members, and the overrides of /unlimited in force.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "app/relay_role.h"
#include "relay/gate_set.h"
#include "tunnel/node.h"

namespace hg::app {

/// `gates`: nullptr without the gateway role. Parts that have nothing to say are left out.
/// `relayed`: nullopt for a member that relays for nobody.
std::string stats_line(tunnel::Node& node, const relay::GateSet* gates, const std::optional<RelayFigures>& relayed);

/// "203.0.113.10 until 2026-01-31T12:00:00Z"
std::string describe_override(const tunnel::Override& one);

}  // namespace hg::app
