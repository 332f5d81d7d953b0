// `hypergate status`: asks a running provider or gateway how it is.
#pragma once

#include "app/config.h"

namespace hg::app {

/// 0: it is part of the network; 1: it is not, or nobody answers.
int run_status(const Config& config);

}  // namespace hg::app
