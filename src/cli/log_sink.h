// Where log lines go: standard error, as text or as one JSON object a line.
#pragma once

#include "app/config.h"

namespace hg::cli {

void install_log(app::LogFormat format, bool verbose);
/// What is still to be written gets a moment for it.
void finish_log();

}  // namespace hg::cli
