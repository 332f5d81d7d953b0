// One gate's listener: a TCP port whose connections, or a UDP port whose client addresses, become channels.
//
//   listen() ─▶ clients come ─▶ stop_listening(): those there go on ─▶ listen(): others come again
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
  /// Binds the port, whose number `address` carries. On an error nothing changes.
  virtual Expected<void> listen(const io::SocketAddress& address) = 0;
  virtual std::string address() const = 0;
  virtual size_t clients() const = 0;
  /// Takes no new clients; those there go on. A UDP port is free when the last of them has gone.
  virtual void stop_listening() = 0;
  /// Closes the clients whose channel is not open yet.
  virtual void close_waiting() = 0;
  /// Closes clients that have been idle too long.
  virtual void sweep() = 0;
};

std::unique_ptr<GateListener> make_tcp_gate(LinkContext& context, tunnel::Gateway& gateway, tunnel::GateKey gate);
std::unique_ptr<GateListener> make_udp_gate(LinkContext& context, tunnel::Gateway& gateway, tunnel::GateKey gate);

inline tunnel::ClientAddress client_address(const io::SocketAddress& address) {
  return {address.canonical_host(), address.host(), address.port()};
}

}  // namespace hg::relay
