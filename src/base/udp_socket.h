// A UDP socket as protocol code sees it: batching is part of the interface.
//
//   receive: the loop reads everything the socket has (GRO, many datagrams a call), hands over each
//            datagram with on_datagram() and then calls on_drained() once. Act there, once per drained socket.
//   send:    send() one datagram, or send_segments() a run of equally long ones in one call (GSO).
//
// One thread. Implemented by io (kernel sockets) and by the simulator.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/endpoint.h"
#include "base/expected.h"

namespace hg {

class UdpSocket;

class UdpReceiver {
 public:
  virtual ~UdpReceiver() = default;
  /// `data` is valid during the call only.
  virtual void on_datagram(UdpSocket& socket, const Endpoint& from, ByteView data) = 0;
  /// After the last datagram of a batch.
  virtual void on_drained(UdpSocket& socket) = 0;
};

enum class SendResult {
  kSent,
  kWouldBlock,  // nothing was sent; on_writable() tells when to try again
  kTooBig,      // longer than the path or the interface takes (EMSGSIZE)
  kFailed,      // refused by the kernel (no route, filtered): treat as lost
};

class UdpSocket {
 public:
  static constexpr int kDefaultTtl = 0;

  virtual ~UdpSocket() = default;
  virtual Endpoint local_endpoint() const = 0;
  virtual void set_receiver(UdpReceiver* receiver) = 0;

  /// One datagram; `ttl` other than kDefaultTtl applies to this datagram only.
  virtual SendResult send(const Endpoint& to, ByteView data, int ttl = kDefaultTtl) = 0;

  /// One datagram that routers and hosts may fragment (no DF): for what was cut before the path became narrower.
  virtual SendResult send_fragmentable(const Endpoint& to, ByteView data) = 0;

  /// The most datagrams and bytes one send_segments() call may carry; 1 where the kernel has no GSO.
  virtual size_t max_segments() const = 0;
  virtual size_t max_segment_bytes() const = 0;
  /// Sends the concatenation of `slices` as datagrams of `segment_size` bytes, the last may be shorter.
  virtual SendResult send_segments(const Endpoint& to, std::span<const ByteView> slices, size_t segment_size) = 0;

  /// Called once, when a send that would have blocked can be tried again.
  virtual void on_writable(std::function<void()> callback) = 0;

  /// Largest datagram payload the interface towards `to` takes, as the kernel says; 0 if unknown.
  virtual size_t path_mtu(const Endpoint& to) const = 0;
};

/// Makes sockets. The socket lives until the returned object is destroyed.
class UdpNetwork {
 public:
  virtual ~UdpNetwork() = default;
  virtual Expected<std::unique_ptr<UdpSocket>> open_udp(const Endpoint& bind) = 0;
  /// IPv4 addresses of the interfaces that are up, loopback left out (host byte order); the last known where the system cannot say.
  virtual std::vector<uint32_t> interface_addresses() const = 0;
  /// Resolves a name to IPv4 addresses; the callback runs later, with an error or at least one address. A dotted quad resolves to itself.
  virtual void resolve(const std::string& host, std::function<void(Expected<std::vector<uint32_t>>)> callback) = 0;
};

}  // namespace hg
