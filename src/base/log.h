// Logging: HG_LOG(kInfo, "gateway", "port {} open", port). The program installs one sink at start-up
// (cli); without one, nothing is printed. Never pass a secret.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hg::log {

enum class Level { kDebug, kInfo, kWarn, kError };

using Sink = std::function<void(Level, std::string_view component, const std::string& message)>;

/// Not thread-safe: called before the first thread starts.
void install(Level threshold, Sink sink);
/// Called with warnings and errors beside the sink; an empty function ends it. On the thread that logs.
void listen(Sink listener);
bool enabled(Level level);
void emit(Level level, std::string_view component, const std::string& message);

inline constexpr size_t kMostLines = 64;
/// What came about at once: a line each, of more than kMostLines the first ones and how many more there are.
void emit_each(Level level, std::string_view component, const std::vector<std::string>& messages);

}  // namespace hg::log

#define HG_LOG(level, component, ...)                                                                                                 \
  do {                                                                                                                                \
    if (::hg::log::enabled(::hg::log::Level::level)) ::hg::log::emit(::hg::log::Level::level, component, ::fmt::format(__VA_ARGS__)); \
  } while (false)
