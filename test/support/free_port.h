// For tests: a port for what is opened later.
#pragma once

#include <cstdint>
#include <random>

#include "io/local_udp.h"
#include "io/tcp.h"

namespace hg::test {

/// Free for TCP and UDP now, and given to this process only once. Below those the kernel gives (net.ipv4.ip_local_port_range, 32768 up
/// unless set): no neighbour's connection takes it in the meantime.
inline uint16_t free_port(io::Loop& loop) {
  constexpr uint16_t kFirst = 10000;
  constexpr uint16_t kLast = 32767;
  static std::random_device random;
  static uint16_t next = std::uniform_int_distribution<uint16_t>(kFirst, kLast)(random);
  for (;;) {
    const uint16_t port = next;
    next = next < kLast ? next + 1 : kFirst;
    const auto address = *io::SocketAddress::parse("0.0.0.0", port);
    if (io::tcp_listen(loop, address, [](auto) {}) && io::udp_bind(loop, address)) return port;
  }
}

}  // namespace hg::test
