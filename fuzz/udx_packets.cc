// Arbitrary packets for a connected stream that is sending, receiving and pausing: nothing may break, and no packet may be
// answered by many. Input: records of [length u8][flags u8][offset u8][seq delta u8][ack delta u8][body …].
#include <cstdlib>

#include "sim/world.h"
#include "udx/test_link.h"

using namespace hg;
using Link = udx::test::BasicLink<sim::World, sim::Host, sim::Path>;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  udx::StreamOptions options;
  options.receive_window = 256 << 10;
  Link link({.delay = 1ms}, 1, options);
  link.a.send(60000);
  size_t at = 0;
  int packets = 0;
  while (at + 5 <= size && packets < 200) {
    const size_t length = std::min<size_t>(data[at], size - at - 5);
    wire::UdxHeader header;
    header.flags = data[at + 1];
    header.data_offset = data[at + 2];
    header.stream_id = link.a.stream->id();
    header.window = static_cast<uint32_t>(data[at + 2]) << (data[at + 3] & 15);
    header.seq = static_cast<uint32_t>(static_cast<int8_t>(data[at + 3]));
    header.ack = static_cast<uint32_t>(static_cast<int8_t>(data[at + 4]));
    const Bytes packet = udx::test::raw_packet(header, ByteView(data + at + 5, length));
    at += 5 + length;
    link.pa.on_datagram(*link.pa.socket, link.at_b(), packet);
    if (header.data_offset & 1) link.pa.on_drained(*link.pa.socket);
    if ((header.flags & 0xc0) == 0x40) link.a.stream->pause_reading();
    if ((header.flags & 0xc0) == 0x80) link.a.stream->resume_reading();
    if ((header.flags & 0xc0) == 0xc0) link.world.run_for(std::chrono::milliseconds(data[at - 1]));
    ++packets;
  }
  link.pa.on_drained(*link.pa.socket);
  link.world.run_for(2s);
  link.a.stream->destroy();
  link.world.run_for(20s);
  if (link.a.closes != 1) std::abort();
  return 0;
}
