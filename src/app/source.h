// JSON-valued options: inline JSON, a path, or an http(s) URL.
#pragma once

#include <string>

#include "base/expected.h"

namespace hg::app {

struct Source {
  std::string name;  // for messages: the path, the URL, or "(inline)"
  std::string text;
};

/// Blocking. The error's message is one line.
Expected<Source> load_source(const std::string& option, const std::string& value);

}  // namespace hg::app
