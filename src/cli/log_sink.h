// Where log lines go: standard error, as text or as one JSON object a line.
#pragma once

#include "app/config.h"

namespace hg::cli {

void install_log(app::LogFormat format, bool verbose);

}  // namespace hg::cli
