#include "app/recent_warnings.h"

#include "app/printable.h"

namespace hg::app {

RecentWarnings::RecentWarnings(Runtime& runtime) : runtime_(runtime) {
  log::listen([this](log::Level level, std::string_view component, const std::string& message) {
    ++count_;
    if (lines_.size() == kMost) lines_.pop_front();
    lines_.push_back({runtime_.now(), level == log::Level::kError, std::string(component), printable(message, kMostBytes)});
  });
}

RecentWarnings::~RecentWarnings() { log::listen({}); }

}  // namespace hg::app
