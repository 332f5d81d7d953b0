// For tests: whether this machine has IPv6. A container often has none.
#pragma once

#include "io/file_descriptor.h"
#include "io/socket_address.h"

namespace hg::test {

inline bool has_ipv6() {
  const auto loopback = io::SocketAddress::parse("::1", 0);
  const io::FileDescriptor fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return fd.valid() && ::bind(fd.get(), loopback->data(), loopback->size()) == 0;
}

}  // namespace hg::test
