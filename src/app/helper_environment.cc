#include "app/helper_environment.h"

namespace hg::app {

namespace {

using tunnel::Limits;

struct LimitVariable {
  const char* name;
  std::string (*text)(const Limits&);
};

template <Duration Limits::*Member>
std::string ms(const Limits& limits) {
  return std::to_string(to_ms(limits.*Member));
}
template <size_t Limits::*Member>
std::string bytes(const Limits& limits) {
  return std::to_string(limits.*Member);
}

constexpr LimitVariable kLimits[] = {
    {"HYPERGATE_MAX_BUFFER_PER_CHANNEL", bytes<&Limits::max_buffer_per_channel>},
    {"HYPERGATE_MAX_BUFFER_PER_PEER", bytes<&Limits::max_buffer_per_peer>},
    {"HYPERGATE_ROUTE_FINDING_TIMEOUT_MS", ms<&Limits::route_finding_timeout>},
    {"HYPERGATE_STATS_INTERVAL_MS", ms<&Limits::stats_interval>},
    {"HYPERGATE_ROUTE_EXPIRATION_MS", ms<&Limits::route_expiration>},
    {"HYPERGATE_CHANNEL_TIMEOUT_POLL_MS", ms<&Limits::channel_timeout_poll>},
    {"HYPERGATE_OPEN_REQUEST_TIMEOUT_MS", ms<&Limits::open_request_timeout>},
    {"HYPERGATE_FIND_ROUTE_RETRY_MIN_MS", ms<&Limits::find_route_retry_min>},
    {"HYPERGATE_FIND_ROUTE_RETRY_MAX_MS", ms<&Limits::find_route_retry_max>},
    {"HYPERGATE_PEER_STALE_MS", ms<&Limits::peer_stale>},
    {"HYPERGATE_PEER_REFRESH_MS", ms<&Limits::peer_refresh>},
    {"HYPERGATE_PEER_REFRESH_WAIT_MS", ms<&Limits::peer_refresh_wait>},
    {"HYPERGATE_TCP_SOCKET_TIMEOUT_MS", ms<&Limits::tcp_socket_timeout>},
    {"HYPERGATE_UDP_SOCKET_TIMEOUT_MS", ms<&Limits::udp_socket_timeout>},
};

}  // namespace

std::vector<std::pair<std::string, std::string>> helper_environment(const Config& config, const tunnel::GateFilter& filter) {
  std::vector<std::pair<std::string, std::string>> environment;
  const auto hand_on = [&](const char* name, std::string value) { environment.emplace_back(name, std::move(value)); };
  std::string bootstrap;
  for (const std::string& entry : config.bootstrap) bootstrap += (bootstrap.empty() ? "" : ",") + entry;
  if (!bootstrap.empty()) hand_on("HYPERGATE_BOOTSTRAP", bootstrap);
  if (filter.only_docker) hand_on("HYPERGATE_EXPOSE_ONLY_DOCKER", "true");
  if (filter.only_published) hand_on("HYPERGATE_EXPOSE_ONLY_PUBLISHED", "true");
  if (config.verbose) hand_on("HYPERGATE_VERBOSE", "true");
  if (config.log_format == LogFormat::kJson) hand_on("HYPERGATE_LOG", "json");
  const Limits not_given;
  for (const LimitVariable& limit : kLimits)
    if (std::string text = limit.text(config.limits); text != limit.text(not_given)) hand_on(limit.name, std::move(text));
  return environment;
}

}  // namespace hg::app
