#include "base/log.h"

#include <algorithm>

namespace hg::log {

namespace {
Level g_threshold = Level::kInfo;
Sink g_sink;
Sink g_listener;
}  // namespace

void install(Level threshold, Sink sink) {
  g_threshold = threshold;
  g_sink = std::move(sink);
}

void listen(Sink listener) { g_listener = std::move(listener); }

bool enabled(Level level) { return g_sink && level >= g_threshold; }

void emit(Level level, std::string_view component, const std::string& message) {
  g_sink(level, component, message);
  if (g_listener && level >= Level::kWarn) g_listener(level, component, message);
}

void emit_each(Level level, std::string_view component, const std::vector<std::string>& messages) {
  if (!enabled(level)) return;
  const size_t shown = std::min(messages.size(), kMostLines);
  for (size_t i = 0; i < shown; ++i) emit(level, component, messages[i]);
  if (shown < messages.size()) emit(level, component, fmt::format("… and {} more like these", messages.size() - shown));
}

}  // namespace hg::log
