// The PROXY protocol header (HAProxy, doc/proxy-protocol.txt, versions 1 and 2): the client's and the gate's address for a service.
//
// Version 2 carries TLVs: PP2_TYPE_UNIQUE_ID (0x05) the fingerprint's id, and of the range for custom use (0xE0–0xEF) 0xE0 the ingress
// labels, comma-separated, 0xE1 the gateway's public key (32 bytes).
#pragma once

#include "base/ids.h"
#include "tunnel/fingerprint.h"
#include "tunnel/service.h"

namespace hg::tunnel {

inline constexpr uint8_t kTlvLabels = 0xe0;
inline constexpr uint8_t kTlvGatewayKey = 0xe1;

/// Empty for kNone. A client that is not known (no or broken fingerprint) is said to be so: UNKNOWN, or the LOCAL command.
Bytes make_proxy_header(ProxyHeader version, Protocol protocol, std::string_view fingerprint, const PublicKey& gateway);

}  // namespace hg::tunnel
