#include "app/own_gate.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

namespace hg::app {
namespace {

constexpr uint32_t kOwn = 0xc0a80105;  // 192.168.1.5

tunnel::Leads leads(const char* listen, const char* host, uint16_t service_port = 80, uint32_t provider = kOwn) {
  tunnel::Service service;
  service.gate_port = 80;
  service.service_port = service_port;
  service.service_host = host;
  return leads_of(*io::SocketAddress::parse(listen, 0), service, {provider, 49738}, OwnNames{{kOwn}, {"::1", "2001:db8::5"}, "box"});
}

bool own_gate(const char* listen, const char* host, uint16_t service_port = 80, uint32_t provider = kOwn) {
  return leads(listen, host, service_port, provider) == tunnel::Leads::kBack;
}

TEST(OwnGate, IsWhereAProviderOfThisMachineFindsItsService) {
  EXPECT_TRUE(own_gate("127.0.0.1", "127.0.0.1"));
  EXPECT_TRUE(own_gate("127.0.0.1", "127.0.0.1", 80, 0x7f000001));
  EXPECT_TRUE(own_gate("0.0.0.0", "127.0.0.1"));
  EXPECT_TRUE(own_gate("0.0.0.0", "192.168.1.5"));
  EXPECT_TRUE(own_gate("192.168.1.5", "192.168.1.5"));
  EXPECT_TRUE(own_gate("::", "127.0.0.1"));
  EXPECT_TRUE(own_gate("::", "::1"));
  EXPECT_TRUE(own_gate("::1", "localhost"));
  EXPECT_TRUE(own_gate("127.0.0.1", "localhost"));
  EXPECT_TRUE(own_gate("::", "2001:db8::5"));
  EXPECT_TRUE(own_gate("2001:db8::5", "[2001:DB8:0::5]"));
  EXPECT_TRUE(own_gate("0.0.0.0", "0.0.0.0"));
  EXPECT_TRUE(own_gate("127.0.0.1", "0.0.0.0"));
  EXPECT_TRUE(own_gate("::", "::"));
  EXPECT_TRUE(own_gate("0.0.0.0", "box"));
  EXPECT_TRUE(own_gate("::", "BOX"));
}

TEST(OwnGate, IsLookedUpWhereTheServiceHasAName) {
  for (const char* listen : {"0.0.0.0", "::", "192.168.1.5", "::1"}) EXPECT_EQ(tunnel::Leads::kByAddress, leads(listen, "web.example"));
  EXPECT_EQ(tunnel::Leads::kByAddress, leads("192.168.1.5", "box")) << "which of this machine's addresses that is";
  EXPECT_EQ(tunnel::Leads::kElsewhere, leads("0.0.0.0", "web.example", 81));
  EXPECT_EQ(tunnel::Leads::kElsewhere, leads("0.0.0.0", "web.example", 80, 0xc0a80106));
  EXPECT_EQ(tunnel::Leads::kElsewhere, leads("0.0.0.0", "unix:/run/web.sock"));
}

TEST(OwnGate, KnowsTheNameOfThisMachine) {
  std::array<char, 256> name{};
  ASSERT_EQ(0, ::gethostname(name.data(), name.size() - 1));
  const tunnel::Service service{80, name.data(), 80, tunnel::Protocol::kTcp, {}, {}};
  EXPECT_EQ(tunnel::Leads::kBack, leads_of(*io::SocketAddress::parse("0.0.0.0", 0), service, {kOwn, 49738}, own_names({kOwn})));
}

TEST(OwnGate, IsNoneElsewhere) {
  EXPECT_FALSE(own_gate("127.0.0.1", "127.0.0.1", 80, 0xc0a80106)) << "the provider is on another machine";
  EXPECT_FALSE(own_gate("127.0.0.1", "127.0.0.1", 81));
  EXPECT_FALSE(own_gate("127.0.0.1", "127.0.0.2"));
  EXPECT_FALSE(own_gate("192.168.1.5", "127.0.0.1"));
  EXPECT_FALSE(own_gate("0.0.0.0", "192.168.1.6"));
  EXPECT_FALSE(own_gate("0.0.0.0", "::1"));
  EXPECT_FALSE(own_gate("0.0.0.0", "2001:db8::5")) << "it takes no IPv6";
  EXPECT_FALSE(own_gate("::", "2001:db8::6"));
  EXPECT_FALSE(own_gate("192.168.1.5", "localhost"));
}

}  // namespace
}  // namespace hg::app
