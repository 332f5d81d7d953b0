// A service as a provider's file names it, and the files themselves.
//
//   [{"gatePort": 8080, "serviceHost": "127.0.0.1", "servicePort": 80, "protocol": "tcp"}, …]   or   {"services": [ … ]}
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "tunnel/frames.h"

namespace hg::tunnel {

struct Service {
  uint16_t gate_port = 0;
  std::string service_host = "127.0.0.1";
  uint16_t service_port = 0;
  Protocol protocol = Protocol::kTcp;
  std::string tags;            // separated by spaces; empty: none
  std::string ingress_policy;  // JSON text of an object; empty: none

  bool operator==(const Service&) const = default;
};

inline constexpr size_t kMaxServices = 4096;
inline constexpr size_t kMaxHostBytes = 253;  // RFC 1035: a name's text form
inline constexpr size_t kMaxTagsBytes = 1024;

/// Parses a service file. An error is one line: `name` (the file's), the JSON path, the value found and what is accepted. gatePort and
/// servicePort stand for each other when one is left out; unknown keys are faults, except those starting with '$' or '_'.
Expected<std::vector<Service>> parse_services(std::string_view json, std::string_view name);

}  // namespace hg::tunnel
