#include "wire/udx_packet.h"

namespace hg::wire {

namespace {

constexpr uint8_t kMagic = 0xff;
constexpr uint8_t kVersion = 1;

uint32_t load_u32(const uint8_t* in) {
  return static_cast<uint32_t>(in[0]) | static_cast<uint32_t>(in[1]) << 8 | static_cast<uint32_t>(in[2]) << 16 |
         static_cast<uint32_t>(in[3]) << 24;
}

void store_u32(uint32_t value, uint8_t* out) {
  out[0] = static_cast<uint8_t>(value);
  out[1] = static_cast<uint8_t>(value >> 8);
  out[2] = static_cast<uint8_t>(value >> 16);
  out[3] = static_cast<uint8_t>(value >> 24);
}

}  // namespace

UdxSackRange UdxSackList::operator[](size_t index) const {
  const uint8_t* at = bytes_.data() + index * kUdxSackRangeSize;
  return {load_u32(at), load_u32(at + 4)};
}

std::optional<uint32_t> udx_stream_id(ByteView datagram) {
  if (datagram.size() < kUdxHeaderSize || datagram[0] != kMagic || datagram[1] != kVersion) return std::nullopt;
  return load_u32(datagram.data() + 4);
}

std::optional<UdxPacket> decode_udx_packet(ByteView datagram) {
  const auto id = udx_stream_id(datagram);
  if (!id) return std::nullopt;
  const uint8_t* at = datagram.data();
  UdxPacket packet;
  packet.header = {at[2], at[3], *id, load_u32(at + 8), load_u32(at + 12), load_u32(at + 16)};
  const ByteView body = datagram.subspan(kUdxHeaderSize);
  const size_t offset = packet.header.data_offset;
  if (offset > body.size()) return std::nullopt;
  packet.payload = body.subspan(offset);
  if (packet.header.flags & kUdxSack) packet.sacks = UdxSackList(offset > 0 && offset < body.size() ? body.first(offset) : body);
  return packet;
}

void encode_udx_header(const UdxHeader& header, uint8_t* out) {
  out[0] = kMagic;
  out[1] = kVersion;
  out[2] = header.flags;
  out[3] = header.data_offset;
  store_u32(header.stream_id, out + 4);
  store_u32(header.window, out + 8);
  store_u32(header.seq, out + 12);
  store_u32(header.ack, out + 16);
}

void encode_udx_sacks(std::span<const UdxSackRange> ranges, uint8_t* out) {
  for (const UdxSackRange& range : ranges) {
    store_u32(range.start, out);
    store_u32(range.end, out + 4);
    out += kUdxSackRangeSize;
  }
}

}  // namespace hg::wire
