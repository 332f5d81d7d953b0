#include "app/offered_hosts.h"

#include <gtest/gtest.h>

namespace hg::app {
namespace {

using Hosts = std::set<std::string>;

tunnel::PeerInfo peer(uint8_t number, std::vector<std::string> hosts, bool answering = true) {
  tunnel::PeerInfo info;
  info.key = PublicKey{number};
  info.answering = answering;
  for (const std::string& host : hosts) info.offers.push_back({80, host, 80, tunnel::Protocol::kTcp, {}, {}});
  return info;
}

TEST(OfferedHosts, ASilentProviderKeepsItsHostsUntilItsSessionIsLost) {
  OfferedHosts offered;
  EXPECT_EQ(offered.of({peer(1, {"a", "b"}), peer(2, {"b", "c"})}), (Hosts{"a", "b", "c"}));
  EXPECT_EQ(offered.of({peer(1, {}, false), peer(2, {"b", "c"})}), (Hosts{"a", "b", "c"}));
  EXPECT_EQ(offered.of({peer(1, {}, false), peer(2, {"c"})}), (Hosts{"a", "b", "c"})) << "as long as it is waited for";
  EXPECT_EQ(offered.of({peer(2, {"c"})}), (Hosts{"c"})) << "lost";
  EXPECT_EQ(offered.of({peer(1, {}, false), peer(2, {"c"})}), (Hosts{"c"})) << "another session: nothing is remembered";
}

TEST(OfferedHosts, AProviderThatTakesBackIsBelieved) {
  OfferedHosts offered;
  EXPECT_EQ(offered.of({peer(1, {"a", "b"})}), (Hosts{"a", "b"}));
  EXPECT_EQ(offered.of({peer(1, {"b"})}), (Hosts{"b"}));
  EXPECT_EQ(offered.of({peer(1, {})}), Hosts{});
}

}  // namespace
}  // namespace hg::app
