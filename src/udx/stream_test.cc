#include <gtest/gtest.h>

#include "sim/world.h"
#include "udx/test_peer.h"
#include "wire/udx_packet.h"

namespace hg::udx {
namespace {

using sim::Host;
using sim::Path;
using sim::World;
using test::App;
using test::Peer;

/// Two hosts, one stream between them.
struct Link {
  explicit Link(const Path& path, uint64_t seed = 1, const StreamOptions& options = {})
      : world(seed), ha(world.add_host("10.0.0.1")), hb(world.add_host("10.0.0.2")), pa(ha), pb(hb), a(pa, options), b(pb, options) {
    world.set_path(ha, hb, path);
    test::join(a, b, ha.address(), hb.address());
  }
  bool until_received(uint64_t bytes, Duration limit) {
    b.expect = bytes;
    return world.run_until([&] { return b.received >= bytes; }, limit);
  }

  World world;
  Host& ha;
  Host& hb;
  Peer pa;
  Peer pb;
  App a;
  App b;
};

TEST(Stream, DeliversSmallWrite) {
  Link link({.delay = 10ms});
  link.a.send(5);
  ASSERT_TRUE(link.until_received(5, 1s));
  EXPECT_TRUE(link.b.intact);
}

struct Conditions {
  const char* name;
  Path path;
};

class Intact : public testing::TestWithParam<Conditions> {};

TEST_P(Intact, BothWays) {
  Link link(GetParam().path, 7);
  constexpr uint64_t kBytes = 3 << 20;
  link.a.send(kBytes, true);
  link.b.send(kBytes, true);
  ASSERT_TRUE(link.world.run_until([&] { return link.a.closes == 1 && link.b.closes == 1; }, 600s));
  EXPECT_EQ(link.b.received, kBytes);
  EXPECT_EQ(link.a.received, kBytes);
  EXPECT_TRUE(link.a.intact && link.b.intact);
  EXPECT_TRUE(link.a.ended && link.b.ended);
  EXPECT_EQ(link.a.close_code, "");
  EXPECT_EQ(link.b.close_code, "");
}

INSTANTIATE_TEST_SUITE_P(Paths, Intact,
                         testing::Values(Conditions{"clean", {.delay = 5ms}}, Conditions{"loss1", {.delay = 5ms, .loss = 0.01}},
                                         Conditions{"loss5", {.delay = 5ms, .loss = 0.05}}, Conditions{"loss20", {.delay = 5ms, .loss = 0.2}},
                                         Conditions{"jitter", {.delay = 5ms, .jitter = 20ms}},
                                         Conditions{"reorder", {.delay = 5ms, .reorder = 0.1}},
                                         Conditions{"duplicate", {.delay = 5ms, .duplicate = 0.2}},
                                         Conditions{"all", {.delay = 5ms, .jitter = 3ms, .loss = 0.03, .duplicate = 0.05, .reorder = 0.05}},
                                         Conditions{"narrow", {.delay = 20ms, .rate_bps = 20e6, .queue_bytes = 20000}},
                                         Conditions{"small_mtu", {.delay = 5ms, .mtu = 1172}}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace hg::udx
