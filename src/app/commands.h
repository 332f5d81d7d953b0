// The commands of the program. prepare() loads and checks everything a command needs (services, filters);
// what it returns runs the command and gives the exit status.
#pragma once

#include <functional>

#include "app/config.h"

namespace hg::app {

Expected<std::function<int()>> prepare(Config config);

}  // namespace hg::app
