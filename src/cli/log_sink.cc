#include "cli/log_sink.h"

#include <spdlog/details/log_msg.h>
#include <spdlog/pattern_formatter.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <memory>

#include "app/printable.h"
#include "base/log.h"
#include "cli/log_writer.h"

namespace hg::cli {

namespace {

constexpr Duration kLastWords = 1s;  // for a reader who is behind when the program ends

LogWriter& writer() {
  static auto* const one = new LogWriter(STDERR_FILENO);
  return *one;
}

spdlog::level::level_enum to_spdlog(log::Level level) {
  switch (level) {
    case log::Level::kDebug:
      return spdlog::level::debug;
    case log::Level::kInfo:
      return spdlog::level::info;
    case log::Level::kWarn:
      return spdlog::level::warn;
    case log::Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::string as_json_field(std::string_view text) { return boost::json::serialize(boost::json::string(text)); }

class Formatter {
 public:
  explicit Formatter(app::LogFormat format)
      : json_(format == app::LogFormat::kJson), terminal_(::isatty(STDERR_FILENO) == 1), pattern_(pattern()) {}

  /// One line that a terminal only shows, whatever a peer put into the message.
  std::string line(log::Level level, std::string_view component, const std::string& message) {
    const std::string shown = app::printable(message, std::string::npos);
    const std::string text = json_ ? fmt::format("\"component\":{},\"message\":{}", as_json_field(component), as_json_field(shown))
                                   : fmt::format("{}: {}", component, shown);
    const spdlog::details::log_msg entry("hypergate", to_spdlog(level), text);
    spdlog::memory_buf_t buffer;
    pattern_.format(entry, buffer);
    std::string out(buffer.data(), buffer.size());
    if (!terminal_ || json_ || entry.color_range_end <= entry.color_range_start) return out;
    out.insert(entry.color_range_end, "\033[m");
    out.insert(entry.color_range_start, color(level));
    return out;
  }

 private:
  /// Who watches a terminal knows the day; a file, or a pipe to one, is read days later.
  const char* pattern() const {
    if (json_) return R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})";
    return terminal_ ? "%H:%M:%S.%e %^%l%$ %v" : "%Y-%m-%d %H:%M:%S.%e %l %v";
  }
  static const char* color(log::Level level) {
    return level == log::Level::kError ? "\033[31m\033[1m" : level == log::Level::kWarn ? "\033[33m\033[1m" : "\033[32m";
  }

  const bool json_;
  const bool terminal_;
  spdlog::pattern_formatter pattern_;
};

}  // namespace

void install_log(app::LogFormat format, bool verbose) {
  const auto formatter = std::make_shared<Formatter>(format);
  log::install(verbose ? log::Level::kDebug : log::Level::kInfo, [formatter](log::Level level, std::string_view component,
                                                                             const std::string& message) {
    if (const size_t lost = writer().take_lost())
      writer().put(formatter->line(log::Level::kWarn, "log", fmt::format("{} lines are missing: they could not be written", lost)));
    writer().put(formatter->line(level, component, message));
  });
}

void finish_log() { writer().finish(kLastWords); }

}  // namespace hg::cli
