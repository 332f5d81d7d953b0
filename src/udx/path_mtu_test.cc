#include "udx/path_mtu.h"

#include <gtest/gtest.h>

namespace hg::udx {
namespace {

/// Answers every probe according to what the path takes; returns the number of probes.
int search(PathMtu& mtu, size_t path, TimePoint now) {
  int probes = 0;
  while (const auto size = mtu.wanted_probe(now)) {
    EXPECT_LE(*size - mtu.mtu(), PathMtu::kMaxPadding);
    mtu.on_probe_sent();
    EXPECT_FALSE(mtu.wanted_probe(now));
    if (*size <= path)
      mtu.on_probe_acked(*size, now);
    else
      mtu.on_probe_lost(*size, now);
    if (++probes > 100) break;
  }
  return probes;
}

TEST(PathMtu, WaitsForTheFirstAck) {
  PathMtu mtu;
  const TimePoint now{1h};
  EXPECT_FALSE(mtu.wanted_probe(now));
  mtu.on_acked(PathMtu::kBase, now);
  EXPECT_TRUE(mtu.wanted_probe(now));
}

TEST(PathMtu, FindsWhatThePathTakes) {
  const TimePoint now{1h};
  for (const auto& [path, expected] : {std::pair<size_t, size_t>{1500, 1500}, {1492, 1492}, {1420, 1420}, {1279, 1200}, {1450, 1440}}) {
    PathMtu mtu;
    mtu.on_acked(1200, now);
    EXPECT_LE(search(mtu, path, now), path == 1500 ? 2 : 14) << path;
    EXPECT_EQ(mtu.mtu(), expected) << path;
    EXPECT_FALSE(mtu.wanted_probe(now + 1min));
    EXPECT_EQ(mtu.wanted_probe(now + 11min).has_value(), path != 1500);
  }
}

TEST(PathMtu, StaysWithinTheInterface) {
  PathMtu mtu;
  const TimePoint now{1h};
  mtu.set_interface_limit(1350);
  mtu.on_acked(1200, now);
  search(mtu, 1500, now);
  EXPECT_EQ(mtu.mtu(), 1350u);
}

TEST(PathMtu, FallsBackInABlackHole) {
  PathMtu mtu;
  TimePoint now{1h};
  mtu.on_acked(1200, now);
  search(mtu, 1500, now);
  mtu.on_acked(1500, now);
  now += 900ms;
  EXPECT_FALSE(mtu.on_lost(1500, 3, now));  // large packets arrived a moment ago
  now += 900ms;
  EXPECT_FALSE(mtu.on_lost(1500, 2, now));
  EXPECT_TRUE(mtu.on_lost(1500, 3, now));
  EXPECT_EQ(mtu.mtu(), PathMtu::kBase);
  EXPECT_FALSE(mtu.wanted_probe(now + 30s));
  EXPECT_TRUE(mtu.wanted_probe(now + 61s));
}

TEST(PathMtu, BelievesTheKernel) {
  PathMtu mtu;
  const TimePoint now{1h};
  mtu.on_acked(1200, now);
  const auto probe = mtu.wanted_probe(now);
  ASSERT_TRUE(probe);
  mtu.on_probe_sent();
  mtu.on_too_big(*probe, now);
  EXPECT_EQ(mtu.mtu(), 1200u);
  search(mtu, 1400, now);
  EXPECT_EQ(mtu.mtu(), 1400u);
}

// A VPN comes up, say: what its device takes is found at once, and what the old one took once it is gone.
TEST(PathMtu, FollowsTheDevice) {
  PathMtu mtu;
  TimePoint now{1h};
  mtu.on_acked(1200, now);
  search(mtu, 1500, now);
  size_t device = 1420;
  const auto try_all = [&] {
    for (int tries = 0; tries < 20; ++tries) {
      const size_t size = mtu.wanted_probe(now).value_or(mtu.mtu());
      if (size > device)
        mtu.on_too_big(size, now);
      else if (size > mtu.mtu())
        mtu.on_probe_acked(size, now);
    }
  };
  try_all();
  EXPECT_EQ(mtu.mtu(), 1420u);
  device = 1500;
  try_all();
  EXPECT_EQ(mtu.mtu(), 1420u) << "not asked again at every packet";
  now += PathMtu::kRaiseAfter;
  try_all();
  EXPECT_EQ(mtu.mtu(), 1500u);
}

}  // namespace
}  // namespace hg::udx
