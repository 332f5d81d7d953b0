#include "io/network_watch.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "io/loop.h"
#include "support/own_network.h"

namespace hg::io {
namespace {

/// By the system's own tool; in the calling thread's network.
bool ip(const std::string& words) { return std::system(("ip " + words).c_str()) == 0; }  // NOLINT(cert-env33-c)

TEST(NetworkWatchTest, AnAddressAndADefaultRouteThatChangeAreToldAtOnce) {
  const bool allowed = hg::test::in_own_network("32768 60999", [] {
    if (!ip("link add wan0 type veth peer name wan1") || !ip("link set wan0 up") || !ip("link set wan1 up"))
      GTEST_SKIP() << "no virtual interfaces here";
    SeededRng rng(1);
    Loop loop(rng);
    int changes = 0;
    const NetworkWatch watch(
        loop, [&] { ++changes; }, [] {});
    int expected = 0;
    for (const char* words : {"address add 10.1.1.2/24 dev wan0", "route add default via 10.1.1.1", "route replace default via 10.1.1.3",
                              "route del default", "address del 10.1.1.2/24 dev wan0"}) {
      ASSERT_TRUE(ip(words)) << words;
      EXPECT_TRUE(loop.run_until([&] { return changes > expected; }, 2s)) << words;
      loop.run_until([] { return false; }, 200ms);
      expected = changes;
    }
    ASSERT_TRUE(ip("link set wan0 mtu 1400"));
    EXPECT_FALSE(loop.run_until([&] { return changes > expected; }, 300ms));
  });
  if (!allowed) GTEST_SKIP() << "no network namespaces here";
}

}  // namespace
}  // namespace hg::io
