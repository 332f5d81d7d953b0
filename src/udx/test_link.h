// Two simulated hosts with one UDX stream between them. `World` and `Path` are the simulator's (a template, because code of
// this room does not include the simulator); used by tests only.
#pragma once

#include "udx/test_peer.h"
#include "wire/udx_packet.h"

namespace hg::udx::test {

template <class World, class Host, class Path>
struct BasicLink {
  template <class... Busy>
  explicit BasicLink(const Path& path, uint64_t seed = 1, const StreamOptions& options = {}, bool joined = true, const Busy&... busy)
      : world(seed),
        ha(world.add_host("10.0.0.1", busy...)),
        hb(world.add_host("10.0.0.2", busy...)),
        pa(ha),
        pb(hb),
        a(pa, options),
        b(pb, options) {
    world.set_path(ha, hb, path);
    if (joined) join(a, b, ha.address(), hb.address());
  }
  bool until_received(uint64_t bytes, Duration limit) {
    b.expect = bytes;
    return world.run_until([&] { return b.received >= bytes; }, limit);
  }
  /// Bits per second that reach b from now on.
  double rate_over(Duration span) {
    const uint64_t before = b.received;
    world.run_for(span);
    return static_cast<double>(b.received - before) * 8 / to_seconds(span);
  }
  bool until_closed(Duration limit) {
    return world.run_until([&] { return a.closes == 1 && b.closes == 1; }, limit);
  }
  Endpoint at_a() { return {ha.address(), pa.socket->local_endpoint().port}; }
  Endpoint at_b() { return {hb.address(), pb.socket->local_endpoint().port}; }
  uint64_t sent_by_a() { return world.counters(ha, hb).sent; }
  uint64_t sent_by_b() { return world.counters(hb, ha).sent; }
  /// Nothing gets through from now on (or again).
  void cut(bool on) {
    ha.set_up(!on);
    hb.set_up(!on);
  }

  World world;
  Host& ha;
  Host& hb;
  Peer pa;
  Peer pb;
  App a;
  App b;
};

inline Bytes raw_packet(const wire::UdxHeader& header, ByteView body = {}) {
  Bytes out(wire::kUdxHeaderSize);
  wire::encode_udx_header(header, out.data());
  append_bytes(out, body);
  return out;
}

}  // namespace hg::udx::test
