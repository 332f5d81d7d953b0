#include "nat/address.h"

namespace hg::nat {
namespace {

struct Block {
  uint32_t network;
  int prefix;
  constexpr bool contains(uint32_t address) const { return (address >> (32 - prefix)) == (network >> (32 - prefix)); }
};

constexpr Block kPrivate[] = {
    {0x0a000000, 8},   // 10.0.0.0/8, RFC 1918
    {0x64400000, 10},  // 100.64.0.0/10, RFC 6598
    {0x7f000000, 8},   // 127.0.0.0/8
    {0xa9fe0000, 16},  // 169.254.0.0/16, RFC 3927
    {0xac100000, 12},  // 172.16.0.0/12, RFC 1918
    {0xc0a80000, 16},  // 192.168.0.0/16, RFC 1918
};
constexpr Block kReserved[] = {
    {0x00000000, 8},   // 0.0.0.0/8
    {0xc0000000, 24},  // 192.0.0.0/24, RFC 6890
    {0xc0000200, 24},  // 192.0.2.0/24, RFC 5737
    {0xc6120000, 15},  // 198.18.0.0/15, RFC 2544
    {0xc6336400, 24},  // 198.51.100.0/24, RFC 5737
    {0xcb007100, 24},  // 203.0.113.0/24, RFC 5737
    {0xe0000000, 4},   // 224.0.0.0/4, multicast
    {0xf0000000, 4},   // 240.0.0.0/4, class E and broadcast
};

template <size_t N>
bool in_any(const Block (&blocks)[N], uint32_t address) {
  for (const Block& block : blocks)
    if (block.contains(address)) return true;
  return false;
}

int shared_octets(uint32_t a, uint32_t b) {
  for (int octets = 3; octets > 0; --octets)
    if ((a ^ b) >> (32 - 8 * octets) == 0) return octets;
  return 0;
}

}  // namespace

bool is_private(uint32_t address) { return in_any(kPrivate, address); }
bool is_reserved(uint32_t address) { return in_any(kReserved, address); }

std::optional<Endpoint> match_address(std::span<const Endpoint> mine, std::span<const Endpoint> remote) {
  std::optional<Endpoint> best;
  int best_octets = 0;
  for (const Endpoint& own : mine) {
    for (const Endpoint& other : remote) {
      const int octets = shared_octets(own.address, other.address);
      if (octets <= best_octets) continue;
      best_octets = octets;
      best = other;
    }
  }
  return best;
}

}  // namespace hg::nat
