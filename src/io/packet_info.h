// IP_PKTINFO and IPV6_PKTINFO: which of the host's addresses a datagram was sent to, and from which one a datagram leaves. Only a socket
// bound to all addresses needs either: the kernel would choose the source by its routes, and a connected client drops such an answer.
#pragma once

#include <netinet/in.h>

#include "io/socket_address.h"

namespace hg::io {

/// 0.0.0.0 or ::.
bool is_wildcard(const SocketAddress& address);

/// Makes the kernel say it with each datagram of this socket.
void ask_for_arrival(int fd, int family);

/// Bytes of control data that recvmsg() needs for it: an IPv6 socket gives both for an IPv4 datagram.
inline constexpr size_t kArrivalBytes = CMSG_SPACE(sizeof(in_pktinfo)) + CMSG_SPACE(sizeof(in6_pktinfo));

/// What it said, in the form of `bound`'s family and with its port; `bound` for want of an address that can be answered from.
SocketAddress arrival_of(const msghdr& message, const SocketAddress& bound);

/// The control data that makes sendmsg() send from an address.
class SourceControl {
 public:
  explicit SourceControl(const SocketAddress& source);
  /// For as long as this object lives.
  void attach_to(msghdr& message);

 private:
  template <class Info>
  void put(int level, int type, const Info& info);

  alignas(cmsghdr) uint8_t bytes_[CMSG_SPACE(sizeof(in6_pktinfo))] = {};
  size_t size_ = 0;
};

}  // namespace hg::io
