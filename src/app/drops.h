// The counters of what was refused or dropped, by reason: one list for the statistics line and for metrics.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "tunnel/counters.h"

namespace hg::app {

using Reasons = std::vector<std::pair<const char*, uint64_t>>;

/// Channels that did not come about.
inline Reasons refused_channels(const tunnel::Counters& c) {
  return {{"no_route", c.refused_no_route}, {"provider", c.refused_by_provider},  {"timeout", c.refused_timeout},
          {"ingress", c.refused_ingress},   {"no_service", c.refused_no_service}, {"connect", c.refused_connect_failed},
          {"limit", c.refused_limit},       {"stopping", c.refused_stopping}};
}

/// Channels ended by policy or limit.
inline Reasons dropped_channels(const tunnel::Counters& c) {
  return {{"ingress", c.closed_ingress}, {"shaping", c.closed_shaping}, {"left_behind", c.closed_left_behind}};
}

inline Reasons dropped_datagrams(const tunnel::Counters& c) {
  return {
      {"too_big", c.datagrams_too_big}, {"backlog", c.datagrams_backlog}, {"kernel", c.datagrams_not_sent}, {"astray", c.datagrams_astray}};
}

/// What peers sent and was not taken.
inline Reasons refused_messages(const tunnel::Counters& c) {
  return {{"malformed", c.malformed_messages},     {"oversized", c.oversized_frames}, {"unknown_action", c.unknown_actions},
          {"unknown_channel", c.unknown_channels}, {"before_hello", c.before_hello},  {"window_overrun", c.window_overruns},
          {"bad_route", c.routes_skipped},         {"bad_hello", c.hello_refused}};
}

}  // namespace hg::app
