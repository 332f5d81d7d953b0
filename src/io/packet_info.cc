#include "io/packet_info.h"

#include <cstring>

namespace hg::io {

namespace {

template <class Sockaddr>
SocketAddress to_address(const Sockaddr& address) {
  return SocketAddress(reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

const sockaddr_in& as_v4(const SocketAddress& address) { return *reinterpret_cast<const sockaddr_in*>(address.data()); }
const sockaddr_in6& as_v6(const SocketAddress& address) { return *reinterpret_cast<const sockaddr_in6*>(address.data()); }

SocketAddress at_v4(const in_addr& ip, const SocketAddress& bound) {
  if (ip.s_addr == INADDR_ANY) return bound;
  if (bound.family() == AF_INET) {
    sockaddr_in address = as_v4(bound);
    address.sin_addr = ip;
    return to_address(address);
  }
  sockaddr_in6 address = as_v6(bound);
  address.sin6_addr = {};
  address.sin6_addr.s6_addr[10] = address.sin6_addr.s6_addr[11] = 0xff;
  std::memcpy(&address.sin6_addr.s6_addr[12], &ip, sizeof ip);
  return to_address(address);
}

SocketAddress at_v6(const in6_pktinfo& info, const SocketAddress& bound) {
  if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) return bound;
  sockaddr_in6 address = as_v6(bound);
  address.sin6_addr = info.ipi6_addr;
  if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) address.sin6_scope_id = info.ipi6_ifindex;
  return to_address(address);
}

template <class Info>
Info read(const cmsghdr* header) {
  Info info;
  std::memcpy(&info, CMSG_DATA(header), sizeof info);
  return info;
}

}  // namespace

bool is_wildcard(const SocketAddress& address) {
  if (address.family() == AF_INET) return as_v4(address).sin_addr.s_addr == INADDR_ANY;
  return address.family() == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&as_v6(address).sin6_addr);
}

void ask_for_arrival(int fd, int family) {
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
}

SocketAddress arrival_of(const msghdr& message, const SocketAddress& bound) {
  SocketAddress found = bound;
  for (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(const_cast<msghdr*>(&message), const_cast<cmsghdr*>(header))) {
    // Of an IPv4 datagram only this one says an address of ours where it was sent to a broadcast address.
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) return at_v4(read<in_pktinfo>(header).ipi_spec_dst, bound);
    if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) found = at_v6(read<in6_pktinfo>(header), bound);
  }
  return found;
}

SourceControl::SourceControl(const SocketAddress& source) {
  if (source.family() == AF_INET) {
    in_pktinfo info{};
    info.ipi_spec_dst = as_v4(source).sin_addr;
    put(IPPROTO_IP, IP_PKTINFO, info);
  } else if (source.family() == AF_INET6) {
    in6_pktinfo info{};
    info.ipi6_addr = as_v6(source).sin6_addr;
    info.ipi6_ifindex = as_v6(source).sin6_scope_id;
    put(IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
}

template <class Info>
void SourceControl::put(int level, int type, const Info& info) {
  auto* header = reinterpret_cast<cmsghdr*>(bytes_);
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(CMSG_DATA(header), &info, sizeof info);
  size_ = CMSG_SPACE(sizeof info);
}

void SourceControl::attach_to(msghdr& message) {
  message.msg_control = bytes_;
  message.msg_controllen = size_;
}

}  // namespace hg::io
