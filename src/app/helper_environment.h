// What a helper gateway is told of the options of the gateway that makes it, as variables (cli/options.h). Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "app/config.h"
#include "tunnel/gate_filter.h"

namespace hg::app {

/// `filter`: the gateway's own. Limits that are as they are without being given are left out.
std::vector<std::pair<std::string, std::string>> helper_environment(const Config& config, const tunnel::GateFilter& filter);

}  // namespace hg::app
