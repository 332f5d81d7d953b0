#include "cli/log_sink.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <boost/json.hpp>

#include "base/log.h"

namespace hg::cli {

namespace {

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

}  // namespace

void install_log(app::LogFormat format, bool verbose) {
  auto logger = spdlog::stderr_color_st("hypergate");
  logger->set_level(spdlog::level::debug);
  logger->flush_on(spdlog::level::debug);
  const bool json = format == app::LogFormat::kJson;
  logger->set_pattern(json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})" : "%H:%M:%S.%e %^%l%$ %v");
  log::install(verbose ? log::Level::kDebug : log::Level::kInfo,
               [logger, json](log::Level level, std::string_view component, const std::string& message) {
                 if (json)
                   logger->log(to_spdlog(level), "\"component\":{},\"message\":{}", as_json_field(component), as_json_field(message));
                 else
                   logger->log(to_spdlog(level), "{}: {}", component, message);
               });
}

}  // namespace hg::cli
