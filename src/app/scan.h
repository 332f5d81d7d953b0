// `hypergate scan`: who is on a router. Looks up only, announces nothing, ends by itself.
#pragma once

#include "app/config.h"

namespace hg::app {

int run_scan(const Config& config);

}  // namespace hg::app
