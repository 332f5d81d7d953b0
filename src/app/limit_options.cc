#include "app/limit_options.h"

#include <type_traits>

namespace hg::app {

namespace {

using tunnel::Limits;

template <auto Member>
constexpr LimitOption option(const char* flag) {
  constexpr bool kIsTime = std::is_same_v<decltype(Member), Duration Limits::*>;
  return {flag,
          [](Limits& limits, uint64_t value) {
            if constexpr (kIsTime)
              limits.*Member = std::chrono::milliseconds(value);
            else
              limits.*Member = value;
          },
          [](const Limits& limits) {
            if constexpr (kIsTime)
              return static_cast<uint64_t>(to_ms(limits.*Member));
            else
              return static_cast<uint64_t>(limits.*Member);
          }};
}

constexpr LimitOption kLimits[] = {
    option<&Limits::max_buffer_per_channel>("maxBufferPerChannel"),
    option<&Limits::max_buffer_per_peer>("maxBufferPerPeer"),
    option<&Limits::route_finding_timeout>("routeFindingTimeoutMs"),
    option<&Limits::stats_interval>("statsIntervalMs"),
    option<&Limits::route_expiration>("routeExpirationMs"),
    option<&Limits::channel_timeout_poll>("channelTimeoutPollMs"),
    option<&Limits::open_request_timeout>("openRequestTimeoutMs"),
    option<&Limits::find_route_retry_min>("findRouteRetryMinMs"),
    option<&Limits::find_route_retry_max>("findRouteRetryMaxMs"),
    option<&Limits::peer_stale>("peerStaleMs"),
    option<&Limits::peer_refresh>("peerRefreshMs"),
    option<&Limits::peer_refresh_wait>("peerRefreshWaitMs"),
    option<&Limits::tcp_socket_timeout>("tcpSocketTimeoutMs"),
    option<&Limits::udp_socket_timeout>("udpSocketTimeoutMs"),
};

}  // namespace

std::span<const LimitOption> limit_options() { return kLimits; }

}  // namespace hg::app
