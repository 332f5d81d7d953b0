// `hypergate check FILE…`: reads services, gateway filters and ingress policies, and says what each is or where it is wrong.
#pragma once

#include <string>
#include <vector>

#include "base/expected.h"

namespace hg::app {

/// What a text is, in a few words; the error names `name` and the place of the fault.
Expected<std::string> describe_file(const std::string& text, const std::string& name);
/// One line a file; 0 when all are good, else 2.
int run_check(const std::vector<std::string>& files);

}  // namespace hg::app
