// Layout of a UDX packet: a 20-byte header, then SACK ranges or padding, then payload.
//
//   0      1        2      3            4          8       12   16
//   0xff | 0x01 | flags | data offset | stream id | window | seq | ack | body …      (little-endian)
//
// `stream id` is the recipient's; `seq` and `ack` count packets. Data offset = bytes between header and payload: padding of
// an MTU probe, or SACK ranges. Source: libudx ae8bff7 (udx-native 1.21.3). No state; views point into the datagram.
#pragma once

#include <optional>
#include <span>

#include "base/bytes.h"

namespace hg::wire {

constexpr size_t kUdxHeaderSize = 20;
constexpr size_t kUdxSackRangeSize = 8;
constexpr size_t kUdxMaxSackRanges = 50;  // what the reference sends in one packet
constexpr size_t kUdxMaxDataOffset = 255;

enum UdxFlag : uint8_t {
  kUdxData = 0x01,
  kUdxEnd = 0x02,
  kUdxSack = 0x04,
  kUdxMessage = 0x08,
  kUdxDestroy = 0x10,
  kUdxHeartbeat = 0x20,
};

struct UdxHeader {
  uint8_t flags = 0;
  uint8_t data_offset = 0;
  uint32_t stream_id = 0;
  uint32_t window = 0;
  uint32_t seq = 0;
  uint32_t ack = 0;
};

/// Packets [start, end), serial numbers.
struct UdxSackRange {
  uint32_t start = 0;
  uint32_t end = 0;
  bool operator==(const UdxSackRange&) const = default;
};

/// The SACK part of a body: whole ranges only, a rest of less than 8 bytes is ignored.
class UdxSackList {
 public:
  UdxSackList() = default;
  explicit UdxSackList(ByteView bytes) : bytes_(bytes) {}
  size_t size() const { return bytes_.size() / kUdxSackRangeSize; }
  UdxSackRange operator[](size_t index) const;

 private:
  ByteView bytes_;
};

struct UdxPacket {
  UdxHeader header;
  UdxSackList sacks;
  ByteView payload;
};

/// The stream id when `datagram` has the length, magic byte and version of a UDX packet.
std::optional<uint32_t> udx_stream_id(ByteView datagram);

/// Nullopt when it is no UDX packet, or its data offset points behind its end.
std::optional<UdxPacket> decode_udx_packet(ByteView datagram);

/// Writes kUdxHeaderSize bytes.
void encode_udx_header(const UdxHeader& header, uint8_t* out);

/// Writes ranges.size() × kUdxSackRangeSize bytes.
void encode_udx_sacks(std::span<const UdxSackRange> ranges, uint8_t* out);

}  // namespace hg::wire
