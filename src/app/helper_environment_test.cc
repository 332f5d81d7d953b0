#include "app/helper_environment.h"

#include <gtest/gtest.h>

namespace hg::app {
namespace {

using Variables = std::vector<std::pair<std::string, std::string>>;

// Each flag of a limit, its variable, and a value that is not the default.
constexpr const char* kLimits[][3] = {
    {"maxBufferPerChannel", "HYPERGATE_MAX_BUFFER_PER_CHANNEL", "1001"},
    {"maxBufferPerPeer", "HYPERGATE_MAX_BUFFER_PER_PEER", "1002"},
    {"routeFindingTimeoutMs", "HYPERGATE_ROUTE_FINDING_TIMEOUT_MS", "1003"},
    {"statsIntervalMs", "HYPERGATE_STATS_INTERVAL_MS", "1004"},
    {"routeExpirationMs", "HYPERGATE_ROUTE_EXPIRATION_MS", "1005"},
    {"channelTimeoutPollMs", "HYPERGATE_CHANNEL_TIMEOUT_POLL_MS", "1006"},
    {"openRequestTimeoutMs", "HYPERGATE_OPEN_REQUEST_TIMEOUT_MS", "1007"},
    {"findRouteRetryMinMs", "HYPERGATE_FIND_ROUTE_RETRY_MIN_MS", "1008"},
    {"findRouteRetryMaxMs", "HYPERGATE_FIND_ROUTE_RETRY_MAX_MS", "1009"},
    {"peerStaleMs", "HYPERGATE_PEER_STALE_MS", "1010"},
    {"peerRefreshMs", "HYPERGATE_PEER_REFRESH_MS", "1011"},
    {"peerRefreshWaitMs", "HYPERGATE_PEER_REFRESH_WAIT_MS", "1012"},
    {"tcpSocketTimeoutMs", "HYPERGATE_TCP_SOCKET_TIMEOUT_MS", "1013"},
    {"udpSocketTimeoutMs", "HYPERGATE_UDP_SOCKET_TIMEOUT_MS", "1014"},
};

Config gateway(std::map<std::string, std::vector<std::string>> options) {
  options["router"] = {std::string(64, 'a')};
  auto config = make_config({"gateway", std::move(options), {}});
  EXPECT_TRUE(config.ok()) << config.error().message;
  return *config;
}

TEST(HelperEnvironment, IsEmptyForAGatewayWithoutOptions) { EXPECT_EQ(helper_environment(gateway({}), {}), Variables{}); }

TEST(HelperEnvironment, HasEachLimitThatTheGatewayWasGiven) {
  std::map<std::string, std::vector<std::string>> options;
  Variables expected;
  for (const auto& [flag, variable, value] : kLimits) {
    options[flag] = {value};
    expected.emplace_back(variable, value);
  }
  EXPECT_EQ(helper_environment(gateway(std::move(options)), {}), expected);
}

TEST(HelperEnvironment, SaysHowToFindTheNetworkWhatToOpenAndHowToLog) {
  tunnel::GateFilter filter;
  filter.only_docker = true;
  filter.only_published = true;
  const Config config = gateway({{"bootstrap", {"10.0.0.1:1,10.0.0.2:2"}}, {"verbose", {""}}, {"log", {"json"}}});
  EXPECT_EQ(helper_environment(config, filter), (Variables{{"HYPERGATE_BOOTSTRAP", "10.0.0.1:1,10.0.0.2:2"},
                                                           {"HYPERGATE_EXPOSE_ONLY_DOCKER", "true"},
                                                           {"HYPERGATE_EXPOSE_ONLY_PUBLISHED", "true"},
                                                           {"HYPERGATE_VERBOSE", "true"},
                                                           {"HYPERGATE_LOG", "json"}}));
}

}  // namespace
}  // namespace hg::app
