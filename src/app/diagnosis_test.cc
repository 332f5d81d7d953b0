#include "app/diagnosis.h"

#include <gtest/gtest.h>

namespace hg::app {
namespace {

Diagnosis healthy() {
  Diagnosis d;
  d.socket = {4 << 20, 4 << 20, true, true};
  d.bootstrap = {{{0x01020304, 49737}, 5ms}};
  d.mappings = {{{0x01020304, 49737}, {0x0a0b0c0d, 1000}}};
  d.nat = wire::kFirewallConsistent;
  d.path_mtu = 1500;
  d.dht_responses = 10;
  d.asked_router = true;
  d.peers = {{.key = "aa", .role = "provider", .packets_sent = 100}};
  return d;
}

bool mentions(const Diagnosis& d, std::string_view words) {
  for (const std::string& problem : d.problems())
    if (problem.find(words) != std::string::npos) return true;
  return false;
}

TEST(Diagnosis, NothingIsFoundWhereNothingIsWrong) {
  EXPECT_TRUE(healthy().problems().empty());
  EXPECT_NE(to_text(healthy()).find("Nothing stands in the way"), std::string::npos);
}

TEST(Diagnosis, SaysWhoRelays) {
  Diagnosis d = healthy();
  EXPECT_EQ(to_text(d).find("relayed"), std::string::npos);
  EXPECT_NE(to_json(d).find(R"("relayed":false,"relayedBy":null)"), std::string::npos);
  d.peers[0].relayed = true;
  d.peers[0].relayed_by = std::string(64, 'b');
  EXPECT_NE(to_text(d).find("relayed by bbbbbbbbbbbbbbbb\n"), std::string::npos) << to_text(d);
  EXPECT_NE(to_json(d).find(R"("relayed":true,"relayedBy":"bbbb)"), std::string::npos);
}

TEST(Diagnosis, EachFaultIsNamed) {
  Diagnosis d = healthy();
  d.dht_responses = 0;
  EXPECT_TRUE(mentions(d, "Allow outgoing UDP"));
  d = healthy();
  d.bootstrap[0].rtt.reset();
  EXPECT_TRUE(mentions(d, "No bootstrap node answers"));
  d = healthy();
  d.bootstrap.clear();
  EXPECT_TRUE(mentions(d, "DNS"));
  d = healthy();
  d.nat = wire::kFirewallRandom;
  EXPECT_TRUE(mentions(d, "symmetric"));
  d = healthy();
  d.path_mtu = 1200;
  EXPECT_TRUE(mentions(d, "above 1200 bytes vanish"));
  d = healthy();
  d.socket.receive_buffer = 212992;
  EXPECT_TRUE(mentions(d, "net.core.rmem_max"));
  d = healthy();
  d.peers[0].clock_skew_ms = -120'000;
  EXPECT_TRUE(mentions(d, "differs by -120 s"));
  d = healthy();
  d.peers[0].packets_retransmitted = 10;
  EXPECT_TRUE(mentions(d, "10 % of the packets"));
  d.peers[0].packets_sent = 40;
  EXPECT_TRUE(d.problems().empty()) << "too few packets to speak of loss";
  d.peers[0].role = std::string(kNoHello);
  EXPECT_TRUE(mentions(d, "No member of this router answers"));
  d.peers.clear();
  EXPECT_TRUE(mentions(d, "No member of this router answers"));
  EXPECT_EQ(to_text(d).find("Nothing stands in the way"), std::string::npos);
}

TEST(Diagnosis, AnAddressOfOursThatOthersSeeIsNoNat) {
  Diagnosis d = healthy();
  EXPECT_FALSE(d.public_address());
  d.interfaces = {0x0a0b0c0d};
  EXPECT_TRUE(d.public_address());
  EXPECT_NE(to_text(d).find("no NAT, a firewall"), std::string::npos);
  d.nat = wire::kFirewallOpen;
  EXPECT_NE(to_text(d).find("open: no NAT"), std::string::npos);
}

}  // namespace
}  // namespace hg::app
