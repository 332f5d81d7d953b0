#include "app/own_gate.h"

#include <gtest/gtest.h>

namespace hg::app {
namespace {

constexpr uint32_t kOwn = 0xc0a80105;  // 192.168.1.5

bool own_gate(const char* listen, const char* host, uint16_t service_port = 80, uint32_t provider = kOwn) {
  tunnel::Service service;
  service.gate_port = 80;
  service.service_port = service_port;
  service.service_host = host;
  return is_own_gate(*io::SocketAddress::parse(listen, 0), service, {provider, 49738}, {kOwn});
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
}

TEST(OwnGate, IsNoneElsewhere) {
  EXPECT_FALSE(own_gate("127.0.0.1", "127.0.0.1", 80, 0xc0a80106)) << "the provider is on another machine";
  EXPECT_FALSE(own_gate("127.0.0.1", "127.0.0.1", 81));
  EXPECT_FALSE(own_gate("127.0.0.1", "127.0.0.2"));
  EXPECT_FALSE(own_gate("192.168.1.5", "127.0.0.1"));
  EXPECT_FALSE(own_gate("0.0.0.0", "192.168.1.6"));
  EXPECT_FALSE(own_gate("0.0.0.0", "::1"));
  EXPECT_FALSE(own_gate("0.0.0.0", "web.example"));
}

}  // namespace
}  // namespace hg::app
