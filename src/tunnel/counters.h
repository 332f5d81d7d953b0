// What happened, for the stats line and for metrics. One set per node; one thread.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace hg::tunnel {

struct Counters {
  uint64_t channels_open = 0;  // gauge: opening ones included
  uint64_t channels_opened = 0;
  uint64_t bytes_to_peers = 0;
  uint64_t bytes_from_peers = 0;

  // Channels that did not come about.
  uint64_t refused_no_route = 0;
  uint64_t refused_by_provider = 0;
  uint64_t refused_timeout = 0;
  uint64_t refused_ingress = 0;
  uint64_t refused_no_service = 0;
  uint64_t refused_connect_failed = 0;
  uint64_t refused_limit = 0;
  uint64_t refused_stopping = 0;

  // Datagrams that were not carried.
  uint64_t datagrams_too_big = 0;
  uint64_t datagrams_backlog = 0;
  uint64_t datagrams_not_sent = 0;  // refused by the kernel
  uint64_t datagrams_astray = 0;    // beside the stream, for no open channel
  uint64_t udp_flows_evicted = 0;

  // What peers sent and we did not take.
  uint64_t malformed_messages = 0;
  uint64_t oversized_frames = 0;
  uint64_t unknown_actions = 0;
  uint64_t unknown_channels = 0;
  uint64_t before_hello = 0;
  uint64_t window_overruns = 0;
  uint64_t routes_skipped = 0;
  uint64_t hello_refused = 0;

  // Ingress policy and shaping.
  uint64_t closed_ingress = 0;      // open channels that a changed policy ended
  uint64_t closed_shaping = 0;      // more queued than the burst allows
  uint64_t closed_left_behind = 0;  // the local socket did not take what its closed channel left
  uint64_t shaping_waits = 0;
  Duration shaping_delay{};  // sum of the waits
  uint64_t overrides = 0;    // /unlimited, granted or renewed

  uint64_t reads_paused = 0;  // times a whole connection waited for a slow local reader
  uint64_t sessions_lost = 0;
  uint64_t sessions_silent = 0;  // times that a peer fell silent and was waited for
};

}  // namespace hg::tunnel
