// For tests: collects what is logged at info and above while it lives.
#pragma once

#include <string>
#include <vector>

#include "base/log.h"

namespace hg::test {

class LogLines {
 public:
  LogLines() {
    log::install(log::Level::kInfo, [this](log::Level level, std::string_view component, const std::string& message) {
      all.push_back(std::string(component) + ": " + message);
      if (level >= log::Level::kWarn) warnings.push_back(all.back());
    });
  }
  ~LogLines() { log::install(log::Level::kError, {}); }
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;
  void clear() {
    all.clear();
    warnings.clear();
  }

  std::vector<std::string> all;
  std::vector<std::string> warnings;
};

}  // namespace hg::test
