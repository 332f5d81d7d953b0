// Kinds of IPv4 addresses, and which of a peer's local addresses is likely on our own network.
//
// Addresses are in host byte order. Pure functions. Tables: RFC 1918, 6598, 3927, 6890, 5737, 2544 as
// npm bogon (hyperdht 6.34) applies them.
#pragma once

#include <optional>
#include <span>

#include "base/endpoint.h"

namespace hg::nat {

/// Private use, carrier-grade NAT, loopback, link-local.
bool is_private(uint32_t address);
/// "This" network, protocol assignments, documentation, benchmarking, multicast, class E.
bool is_reserved(uint32_t address);
/// Not routed on the public Internet.
inline bool is_bogon(uint32_t address) { return is_private(address) || is_reserved(address); }

/// The first of `remote` that shares three leading octets with one of `mine`, else two, else one; nullopt when none does.
std::optional<Endpoint> match_address(std::span<const Endpoint> mine, std::span<const Endpoint> remote);

}  // namespace hg::nat
