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

/// What a provider tells the service about the client before the client's first byte: PROXY protocol, version 1 or 2. kV2Each: for UDP
/// before every datagram.
enum class ProxyHeader : uint8_t { kNone, kV1, kV2, kV2Each };

struct Service {
  uint16_t gate_port = 0;
  std::string service_host = "127.0.0.1";  // name, address, or "unix:" and an absolute path (TCP services)
  uint16_t service_port = 0;
  Protocol protocol = Protocol::kTcp;
  std::string tags;            // separated by spaces; empty: none
  std::string ingress_policy;  // JSON text of an object; empty: none
  ProxyHeader proxy_header = ProxyHeader::kNone;
  bool early = true;  // a client's first bytes may go ahead of the confirmation, and so reach two providers

  bool operator==(const Service&) const = default;
};

inline constexpr size_t kMaxServices = 4096;
inline constexpr size_t kMaxHostBytes = 253;  // RFC 1035: a name's text form
inline constexpr size_t kMaxTagsBytes = 1024;

/// The path of a Unix socket's service host; empty: it is none.
std::string_view unix_socket_path(std::string_view service_host);

/// Parses a service file. An error is one line: `name` (the file's), the JSON path, the value found and what is accepted. gatePort and
/// servicePort stand for each other when one is left out; unknown keys are faults, except those starting with '$' or '_'.
Expected<std::vector<Service>> parse_services(std::string_view json, std::string_view name);

}  // namespace hg::tunnel
