// `hypergate demo`: a whole tunnel on this machine, as separate processes, to look at.
#pragma once

#include "app/config.h"

namespace hg::app {

int run_demo(const Config& config);

}  // namespace hg::app
