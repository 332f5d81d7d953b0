#include "app/helper_environment.h"

#include "app/limit_options.h"

namespace hg::app {

std::vector<std::pair<std::string, std::string>> helper_environment(const Config& config, const tunnel::GateFilter& filter) {
  std::vector<std::pair<std::string, std::string>> environment;
  const auto hand_on = [&](std::string name, std::string value) { environment.emplace_back(std::move(name), std::move(value)); };
  std::string bootstrap;
  for (const std::string& entry : config.bootstrap) bootstrap += (bootstrap.empty() ? "" : ",") + entry;
  if (!bootstrap.empty()) hand_on("HYPERGATE_BOOTSTRAP", bootstrap);
  if (filter.only_docker) hand_on("HYPERGATE_EXPOSE_ONLY_DOCKER", "true");
  if (filter.only_published) hand_on("HYPERGATE_EXPOSE_ONLY_PUBLISHED", "true");
  if (config.verbose) hand_on("HYPERGATE_VERBOSE", "true");
  if (config.log_format == LogFormat::kJson) hand_on("HYPERGATE_LOG", "json");
  const tunnel::Limits not_given;
  for (const LimitOption& limit : limit_options())
    if (limit.get(config.limits) != limit.get(not_given)) hand_on(variable_name(limit.flag), std::to_string(limit.get(config.limits)));
  return environment;
}

}  // namespace hg::app
