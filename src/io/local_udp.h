// Local UDP sockets, IPv4 or IPv6, for UDP gates and services (datagrams of 0 to 65507 bytes). Not for the DHT underlay.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/expected.h"
#include "io/loop.h"
#include "io/socket_address.h"

namespace hg::io {

class LocalUdp {
 public:
  /// `data` is valid during the call only. The handler may destroy the socket.
  using Handler = std::function<void(const SocketAddress& from, ByteView data)>;

  virtual ~LocalUdp() = default;
  virtual void set_handler(Handler handler) = 0;
  /// On a connected socket: told, never from inside a call, that nobody listens there for what was sent. It may destroy the socket.
  virtual void on_refused(std::function<void()> refused) = 0;
  /// In a call of the handler: the address of ours that the datagram was sent to. On a socket bound to all addresses it differs from the
  /// bound one.
  virtual const SocketAddress& arrived_at() const = 0;
  /// False when the kernel refused it (buffer full, unreachable): a lost datagram.
  virtual bool send_to(const SocketAddress& to, ByteView data) = 0;
  /// The same, from `source`, which is what arrived_at() said.
  virtual bool send_from(const SocketAddress& source, const SocketAddress& to, ByteView data) = 0;
  /// On a connected socket.
  virtual bool send(ByteView data) = 0;
  virtual SocketAddress local_address() const = 0;
};

/// Bound to `address` (port 0: any).
Expected<std::unique_ptr<LocalUdp>> udp_bind(Loop& loop, const SocketAddress& address);
/// Connected to `address`: only its datagrams arrive.
Expected<std::unique_ptr<LocalUdp>> udp_connect(Loop& loop, const SocketAddress& address);

using ResolveCallback = std::function<void(Expected<std::vector<SocketAddress>>)>;

/// Numeric addresses of `host` in the system's order of preference; the callback runs later, on the loop.
void resolve_host(Loop& loop, const std::string& host, uint16_t port, ResolveCallback callback);

}  // namespace hg::io
