// `hypergate dht`: a bootstrap and storage node of a private network.
#pragma once

#include "app/config.h"

namespace hg::app {

int run_dht(const Config& config);

}  // namespace hg::app
