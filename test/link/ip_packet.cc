#include "link/ip_packet.h"

#include <algorithm>

namespace hg::link {

namespace {

constexpr size_t kHeader = 20;  // IPv4 without options
constexpr size_t kTtlOffset = 8;
constexpr size_t kHopLimitOffset = 7;  // RFC 8200
constexpr uint16_t kDontFragment = 0x4000;
constexpr uint16_t kMoreFragments = 0x2000;
constexpr uint16_t kOffsetMask = 0x1fff;

uint16_t load16(ByteView bytes, size_t at) { return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]); }

void store16(Bytes& bytes, size_t at, size_t value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}

void renew_checksum(Bytes& packet) {
  store16(packet, 10, 0);
  uint32_t sum = 0;
  for (size_t at = 0; at < kHeader; at += 2) sum += load16(packet, at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  store16(packet, 10, ~sum & 0xffff);
}

}  // namespace

uint8_t ttl_of(ByteView packet) {
  if (packet.empty()) return 0;
  const size_t offset = packet[0] >> 4 == 6 ? kHopLimitOffset : kTtlOffset;
  return offset < packet.size() ? packet[offset] : 0;
}

std::optional<std::vector<Bytes>> fragments_of(ByteView packet, size_t mtu) {
  if (packet.size() <= kHeader || packet[0] != 0x45 || mtu < kHeader + 8) return std::nullopt;
  const uint16_t field = load16(packet, 6);
  if (field & kDontFragment) return std::nullopt;
  const ByteView body = packet.subspan(kHeader);
  const size_t step = (mtu - kHeader) / 8 * 8;
  std::vector<Bytes> out;
  for (size_t at = 0; at < body.size(); at += step) {
    const ByteView part = body.subspan(at, std::min(step, body.size() - at));
    const bool last = at + part.size() == body.size();
    Bytes fragment = to_bytes(packet.first(kHeader));
    append_bytes(fragment, part);
    store16(fragment, 2, fragment.size());
    store16(fragment, 6, (last ? field & kMoreFragments : kMoreFragments) | ((field & kOffsetMask) + at / 8));
    renew_checksum(fragment);
    out.push_back(std::move(fragment));
  }
  return out;
}

}  // namespace hg::link
