// Which options are for which verb and role.
#pragma once

#include <vector>

#include "app/config.h"

namespace hg::app {

/// Options that this verb, or these roles, have no use for: refused if typed; those of the environment are for another program that shares
/// it, and are taken out. `limits`: the names of all limits.
Expected<void> leave_to_others(RawOptions& raw, Command command, bool provider, bool gateway, const std::vector<const char*>& limits);

}  // namespace hg::app
