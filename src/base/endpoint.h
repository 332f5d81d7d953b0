// An IPv4 address and UDP port. The DHT underlay is IPv4 only (hyperdht 6); local services and gates
// use their own address type in io.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace hg {

struct Endpoint {
  uint32_t address = 0;  // host byte order: 127.0.0.1 is 0x7f000001
  uint16_t port = 0;     // host byte order

  auto operator<=>(const Endpoint&) const = default;

  static Endpoint loopback(uint16_t port) { return {0x7f000001u, port}; }
  /// Dotted quad, e.g. "127.0.0.1".
  std::string host() const;
  /// "127.0.0.1:49737".
  std::string to_string() const;
};

/// Strict dotted quad ("1.2.3.4"), host byte order; nothing else is accepted.
std::optional<uint32_t> parse_ipv4(std::string_view text);
std::string format_ipv4(uint32_t address);

}  // namespace hg

template <>
struct std::hash<hg::Endpoint> {
  size_t operator()(const hg::Endpoint& e) const noexcept { return std::hash<uint64_t>{}(static_cast<uint64_t>(e.address) << 16 | e.port); }
};
