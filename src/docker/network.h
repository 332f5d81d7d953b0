// What the engine says of networks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hg::docker {

/// The "Id" of a network's description, or of the answer to its creation; empty without one.
std::string parse_network_id(std::string_view json);

/// The ids of the networks with exactly this name in the answer to `GET /networks`, the oldest first. Engines before 25 let two that are
/// created at once have one name.
std::vector<std::string> networks_named(std::string_view json, std::string_view name);

}  // namespace hg::docker
