// Bounds and time-outs of the tunnel layer. The first group has a flag (--camelCase) and an environment
// variable (HYPERGATE_UPPER_SNAKE) each, with the TypeScript program's defaults; the second is ours alone.
#pragma once

#include <cstddef>

#include "base/time.h"

namespace hg::tunnel {

struct Limits {
  size_t max_buffer_per_channel = 8388608;  // bytes received and not yet taken by the local socket
  size_t max_buffer_per_peer = 33554432;    // the same, over all channels of a peer; with "flow": promised before windows shrink
  Duration route_finding_timeout = 60s;     // from the first attempt to open a channel to giving up
  Duration stats_interval = 600s;
  Duration route_expiration = 120s;  // after the last advertisement
  Duration channel_timeout_poll = 60s;
  Duration open_request_timeout = 15s;  // one attempt; also the provider's connect time-out
  Duration find_route_retry_min = 100ms;
  Duration find_route_retry_max = 600ms;
  Duration peer_stale = 900s;  // largest difference of two clocks that a hello may show
  Duration peer_refresh = 5s;  // routes are advertised again this often
  Duration peer_refresh_wait = 100ms;
  // Without a byte in either direction; 21 years, as long as a TypeScript peer's TCP channels live: its flag of this name ends nothing
  // either. Keepalive finds who is gone.
  Duration tcp_socket_timeout = 21 * 360 * 24h;
  Duration udp_socket_timeout = 1h;

  Duration hello_timeout = 15s;       // a connection that says no hello is dropped
  Duration open_hedge = 1s;           // an unanswered open moves to another provider, if there is one, at the latest after this
  Duration open_hedge_least = 300ms;  // and at the earliest after this
  Duration silent_routes = 15s;       // a provider that fell silent keeps its routes this long, if no other serves them
  Duration gate_linger = 2s;          // a gate whose provider was lost (not withdrawn) holds new clients this long
  Duration quiet_flow = 1s;           // a UDP flow has no end: without a datagram for so long it does not hold up a stop
  size_t initial_window = 2097152;    // bytes a peer with "flow" may send on a new channel, at most
  size_t min_window = 65536;          // and at least, until max_buffer_per_peer is promised away; then less and less
  size_t max_early_openings = 512;    // of a gateway, that may keep kEarlyBytes each
  size_t max_channels_per_peer = 65536;
  size_t max_datagram_backlog = 1048576;  // bytes of UDP datagrams queued behind a full connection; more are dropped
  size_t max_opening_backlog = 262144;    // bytes of open requests, queued likewise; more of them wait, and new UDP flows are dropped
  size_t max_left_behind = 33554432;      // bytes for sockets whose channel is closed, over all of them
  Duration left_behind_patience = 60s;    // without any of them taken; as nginx's send_timeout and Apache's TimeOut
  size_t max_udp_flows_per_gate = 16384;  // the longest idle one makes room
  size_t max_sessions = 4096;
};

}  // namespace hg::tunnel
