// Provider and gateway on one machine, and a service whose port is its gate's: whose listener has the port is whose connections it gets.
#pragma once

#include <string>
#include <vector>

#include "base/endpoint.h"
#include "io/socket_address.h"
#include "tunnel/loop_check.h"

namespace hg::app {

/// What this machine is called.
struct OwnNames {
  std::vector<uint32_t> ipv4;     // of its interfaces, host byte order
  std::vector<std::string> ipv6;  // as SocketAddress::canonical_host() writes them
  std::string host;
};

/// Where a gate on `listen` leads: back, where it would have the address that the provider at `provider` connects to for `service`.
tunnel::Leads leads_of(const io::SocketAddress& listen, const tunnel::Service& service, const Endpoint& provider, const OwnNames& own);

/// With what the system says else.
OwnNames own_names(std::vector<uint32_t> ipv4);

}  // namespace hg::app
