// One gate's listener: a TCP port whose connections, or a UDP port whose client addresses, become channels.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/expected.h"
#include "io/socket_address.h"
#include "relay/link_context.h"
#include "tunnel/gateway.h"

namespace hg::relay {

class GateListener {
 public:
  virtual ~GateListener() = default;  // closes the clients
  virtual std::string address() const = 0;
  virtual size_t clients() const = 0;
  /// Takes no new clients; those there go on.
  virtual void stop_listening() = 0;
  /// Closes clients that have been idle too long.
  virtual void sweep() = 0;
};

Expected<std::unique_ptr<GateListener>> open_tcp_gate(LinkContext& context, tunnel::Gateway& gateway, const io::SocketAddress& address,
                                                      tunnel::GateKey gate);
Expected<std::unique_ptr<GateListener>> open_udp_gate(LinkContext& context, tunnel::Gateway& gateway, const io::SocketAddress& address,
                                                      tunnel::GateKey gate);

inline tunnel::ClientAddress client_address(const io::SocketAddress& address) {
  return {address.canonical_host(), address.host(), address.port()};
}

}  // namespace hg::relay
