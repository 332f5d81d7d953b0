// The page at GET / of the metrics address: asks for /status every two seconds and shows it.
#pragma once

#include <string>

namespace hg::app {

/// `nonce`: of this answer's Content-Security-Policy, letters and digits only.
std::string status_page(const std::string& nonce);

}  // namespace hg::app
