// `hypergate doctor`: why a tunnel works here, or why not.
//
//   open ─▶ bootstrap nodes asked ─▶ DHT ready or kReadyLimit ─▶ nodes asked how they see us, and how large packets may be
//        ─▶ with a router: its members met and looked at ─▶ report
#pragma once

#include "app/config.h"

namespace hg::app {

/// Exit status: 0 nothing stands in the way of a tunnel, 1 UDP or the bootstrap does.
int run_doctor(const Config& config);

}  // namespace hg::app
