// Which advertised routes a gateway opens a port for (`--gateway JSON`, `--exposeOnly…`).
//
// A route passes when it matches any of the partial entries (all of them when there are none) and every exposeOnly option that is set.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "tunnel/service.h"

namespace hg::tunnel {

/// A partial entry: what is set must be equal; tags must all be among the route's.
struct GateMatch {
  std::optional<uint16_t> gate_port;
  std::optional<std::string> service_host;
  std::optional<uint16_t> service_port;
  std::optional<Protocol> protocol;
  std::optional<std::string> tags;

  bool operator==(const GateMatch&) const = default;
};

struct GateFilter {
  std::vector<GateMatch> any_of;
  std::vector<std::string> only_services;  // service hosts; empty: all
  bool only_docker = false;                // routes tagged "docker"
  bool only_published = false;             // routes tagged "published"

  bool passes(const Service& route) const;
};

/// Parses `--gateway`'s JSON: an array, or an object with "services". Errors as parse_services.
Expected<std::vector<GateMatch>> parse_gate_matches(std::string_view json, std::string_view name);

/// True when `tags` (separated by spaces) holds the word `tag`.
bool has_tag(std::string_view tags, std::string_view tag);

}  // namespace hg::tunnel
