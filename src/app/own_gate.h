// Provider and gateway on one machine, and a service whose port is its gate's: whose listener has the port is whose connections it gets.
#pragma once

#include <vector>

#include "base/endpoint.h"
#include "io/socket_address.h"
#include "tunnel/service.h"

namespace hg::app {

/// Whether a gate on `listen` would have the address that the provider at `provider` connects to for `service`. `own`: this machine's IPv4
/// addresses, host byte order. Names but localhost are not looked up.
bool is_own_gate(const io::SocketAddress& listen, const tunnel::Service& service, const Endpoint& provider,
                 const std::vector<uint32_t>& own);

}  // namespace hg::app
