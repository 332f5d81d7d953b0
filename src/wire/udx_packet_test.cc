#include "wire/udx_packet.h"

#include <gtest/gtest.h>

#include "support/vectors.h"

namespace hg::wire {
namespace {

Bytes packet_with(uint8_t flags, uint8_t data_offset, size_t body) {
  Bytes out(kUdxHeaderSize + body);
  encode_udx_header({flags, data_offset, 7, 8, 9, 10}, out.data());
  return out;
}

TEST(UdxPacket, DecodesAndReencodesEveryCapture) {
  size_t checked = 0;
  const auto vectors = test::load_vectors("udx-packets");
  for (const auto& scenario : vectors.at("scenarios").as_array()) {
    for (const auto& expected : scenario.at("packets").as_array()) {
      const bool whole = expected.as_object().contains("hex");
      Bytes datagram = test::hex_bytes(expected.at(whole ? "hex" : "hex_prefix"));
      if (!whole) datagram.resize(expected.at("total_len").to_number<size_t>());
      const auto packet = decode_udx_packet(datagram);
      ASSERT_TRUE(packet);
      EXPECT_EQ(packet->header.flags, expected.at("type").to_number<int>());
      EXPECT_EQ(packet->header.data_offset, expected.at("data_offset").to_number<int>());
      EXPECT_EQ(packet->header.stream_id, expected.at("stream_id").to_number<uint32_t>());
      EXPECT_EQ(packet->header.window, expected.at("recv_window").to_number<uint32_t>());
      EXPECT_EQ(packet->header.seq, expected.at("seq").to_number<uint32_t>());
      EXPECT_EQ(packet->header.ack, expected.at("ack").to_number<uint32_t>());
      Bytes again(kUdxHeaderSize);
      encode_udx_header(packet->header, again.data());
      EXPECT_TRUE(std::equal(again.begin(), again.end(), datagram.begin()));
      if (const auto* sacks = expected.as_object().if_contains("sacks"); sacks != nullptr && !sacks->as_array().empty()) {
        ASSERT_EQ(packet->sacks.size(), sacks->as_array().size());
        std::vector<UdxSackRange> ranges;
        for (size_t i = 0; i < packet->sacks.size(); ++i) {
          const auto& pair = sacks->as_array()[i].as_array();
          EXPECT_EQ(packet->sacks[i], (UdxSackRange{pair[0].to_number<uint32_t>(), pair[1].to_number<uint32_t>()}));
          ranges.push_back(packet->sacks[i]);
        }
        Bytes body(ranges.size() * kUdxSackRangeSize);
        encode_udx_sacks(ranges, body.data());
        EXPECT_TRUE(equal_bytes(body, ByteView(datagram).subspan(kUdxHeaderSize)));
      }
      ++checked;
    }
  }
  EXPECT_GT(checked, 100u);
}

TEST(UdxPacket, RefusesWhatIsNotUdx) {
  const Bytes good = packet_with(kUdxData, 0, 4);
  EXPECT_TRUE(udx_stream_id(good));
  for (size_t size = 0; size < kUdxHeaderSize; ++size) EXPECT_FALSE(udx_stream_id(ByteView(good).first(size)));
  Bytes other = good;
  other[0] = 0x03;
  EXPECT_FALSE(udx_stream_id(other));
  other = good;
  other[1] = 2;
  EXPECT_FALSE(decode_udx_packet(other));
}

TEST(UdxPacket, SkipsPadding) {
  Bytes datagram = packet_with(kUdxData, 32, 35);
  datagram[kUdxHeaderSize + 32] = 'x';
  const auto packet = decode_udx_packet(datagram);
  ASSERT_TRUE(packet);
  ASSERT_EQ(packet->payload.size(), 3u);
  EXPECT_EQ(packet->payload[0], 'x');
  EXPECT_EQ(packet->sacks.size(), 0u);
}

TEST(UdxPacket, RefusesDataOffsetBehindTheEnd) {
  EXPECT_TRUE(decode_udx_packet(packet_with(kUdxData, 4, 4)));
  EXPECT_FALSE(decode_udx_packet(packet_with(kUdxData, 5, 4)));
}

TEST(UdxPacket, SacksTakeTheBodyUnlessTheOffsetLeavesPayload) {
  EXPECT_EQ(decode_udx_packet(packet_with(kUdxSack, 0, 20))->sacks.size(), 2u);
  EXPECT_EQ(decode_udx_packet(packet_with(kUdxSack, 8, 20))->sacks.size(), 1u);
  EXPECT_EQ(decode_udx_packet(packet_with(kUdxSack, 8, 20))->payload.size(), 12u);
  EXPECT_EQ(decode_udx_packet(packet_with(kUdxSack, 16, 16))->sacks.size(), 2u);
  EXPECT_EQ(decode_udx_packet(packet_with(kUdxSack, 0, 7))->sacks.size(), 0u);
}

}  // namespace
}  // namespace hg::wire
