// What a router reads and does to an IP packet: time to live, and fragmentation (RFC 791 section 3.2). Sizes in bytes.
#pragma once

#include <optional>
#include <vector>

#include "base/bytes.h"

namespace hg::link {

/// Hops left (IPv6: hop limit); 0 for what is no IP packet.
uint8_t ttl_of(ByteView packet);

/// The fragments of at most `mtu` bytes; nullopt where the sender forbade it (DF, or IPv6) or the packet is not plain IPv4.
std::optional<std::vector<Bytes>> fragments_of(ByteView packet, size_t mtu);

}  // namespace hg::link
