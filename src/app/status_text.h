// The answer of GET /status as text for people.
#pragma once

#include <boost/json.hpp>
#include <string>

namespace hg::app {

/// Whatever `status` holds: it comes from another process. What is missing is shown as nothing.
std::string status_text(const boost::json::value& status);

}  // namespace hg::app
