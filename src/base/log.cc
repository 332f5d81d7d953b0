#include "base/log.h"

namespace hg::log {

namespace {
Level g_threshold = Level::kInfo;
Sink g_sink;
}  // namespace

void install(Level threshold, Sink sink) {
  g_threshold = threshold;
  g_sink = std::move(sink);
}

bool enabled(Level level) { return g_sink && level >= g_threshold; }

void emit(Level level, std::string_view component, const std::string& message) { g_sink(level, component, message); }

}  // namespace hg::log
