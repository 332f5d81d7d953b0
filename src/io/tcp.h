// Local TCP and Unix stream sockets, in the pull style: the handler is told that a socket is readable or
// writable and moves the bytes itself, straight from and into its own buffers.
//
//   TcpSocket: watch_read(true) ─▶ on_readable() ─▶ read() until kWouldBlock
//              write() short ─▶ watch_write(true) ─▶ on_writable()
//   TCP_NODELAY is always set. A handler may destroy its socket from inside any callback.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/expected.h"
#include "base/time.h"
#include "io/loop.h"
#include "io/socket_address.h"

namespace hg::io {

class TcpHandler {
 public:
  virtual ~TcpHandler() = default;
  /// Level-triggered: called once per turn while data (or end, or an error) waits and watch_read is on.
  virtual void on_readable() = 0;
  virtual void on_writable() = 0;
  /// What watch_failure() asked for.
  virtual void on_failure() {}
};

struct IoResult {
  enum class Kind { kBytes, kEnd, kWouldBlock, kError };
  Kind kind = Kind::kWouldBlock;
  size_t bytes = 0;
  int error = 0;  // errno when kError
};

class TcpSocket {
 public:
  virtual ~TcpSocket() = default;
  virtual void set_handler(TcpHandler* handler) = 0;
  virtual void watch_read(bool on) = 0;
  virtual void watch_write(bool on) = 0;
  /// From now on on_failure() is called, once, when the connection breaks: for who does not read any more.
  virtual void watch_failure() = 0;
  virtual IoResult read(MutableBytes into) = 0;
  /// Writes as much of the slices (at most 64) as the kernel takes.
  virtual IoResult write(std::span<const ByteView> slices) = 0;
  /// Bytes written that the other end has not acknowledged.
  virtual size_t unacknowledged() const = 0;
  /// Half-close: FIN after what was written.
  virtual void shutdown_write() = 0;
  /// Closes with a reset instead of a FIN when the object is destroyed.
  virtual void reset_on_close() = 0;
  virtual SocketAddress local_address() const = 0;
  /// Also of a connection that is over already.
  virtual SocketAddress remote_address() const = 0;
};

class TcpListener {
 public:
  virtual ~TcpListener() = default;
  virtual SocketAddress local_address() const = 0;
};

/// Listens (backlog 4096, SO_REUSEADDR; an IPv6 wildcard also takes IPv4). `on_accept` is called for each connection; running out of file
/// descriptors pauses accepting for 100 ms instead of failing, and is logged at most once a minute.
Expected<std::unique_ptr<TcpListener>> tcp_listen(Loop& loop, const SocketAddress& address,
                                                  std::function<void(std::unique_ptr<TcpSocket>)> on_accept);

/// A connect in progress; destroying it cancels it.
class TcpConnect {
 public:
  virtual ~TcpConnect() = default;
};
using ConnectCallback = std::function<void(Expected<std::unique_ptr<TcpSocket>>)>;

/// Connects to one address; a Unix socket whose backlog is full is waited for. The callback runs later, once; an Error's code is the errno
/// name ("ECONNREFUSED", "ETIMEDOUT").
std::unique_ptr<TcpConnect> tcp_connect(Loop& loop, const SocketAddress& address, Duration timeout, ConnectCallback callback);
/// Resolves `host` (name, IPv4 or IPv6) each time and tries its addresses in order.
std::unique_ptr<TcpConnect> tcp_connect(Loop& loop, const std::string& host, uint16_t port, Duration timeout, ConnectCallback callback);

}  // namespace hg::io
