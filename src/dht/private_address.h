// Addresses by which hosts are not told apart on the Internet: a testnet has many nodes on one of them.
#pragma once

#include <cstdint>

namespace hg::dht {

/// RFC 1918, 1122, 6598. Host byte order.
inline bool is_private(uint32_t address) {
  return address >> 24 == 10 || address >> 24 == 127 || address >> 20 == 0xac1 || address >> 16 == 0xc0a8 || address >> 22 == 0x191;
}

}  // namespace hg::dht
