#include "dht/bootstrap.h"

#include <gtest/gtest.h>

#include "sim/dht_network.h"

namespace hg::dht {
namespace {

using sim::DhtNetwork;

TEST(BootstrapList, Parsing) {
  const auto both = parse_bootstrap("88.99.3.86@node1.hyperdht.org:49737");
  ASSERT_TRUE(both);
  EXPECT_EQ(format_ipv4(*both->address), "88.99.3.86");
  EXPECT_EQ(both->host, "node1.hyperdht.org");
  EXPECT_EQ(both->port, 49737);
  const auto plain = parse_bootstrap("localhost:1");
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->address);
  for (const char* bad : {"", "host", "host:", ":1", "host:0", "host:65536", "host:1x", "x@host:1", "1.2.3.4@:1"})
    EXPECT_FALSE(parse_bootstrap(bad)) << bad;
  for (const std::string& entry : default_bootstrap()) EXPECT_TRUE(parse_bootstrap(entry));
}

TEST(BootstrapList, SilentAddressFallsBackToTheName) {
  DhtNetwork net(5);
  NodeOptions options = DhtNetwork::user_options();
  options.bootstrap = {"8.250.0.1@8.0.0.1:49737", "8.250.0.2@nowhere.example:1"};
  Node& user = net.add(net.next_address(), options);
  ASSERT_TRUE(net.settle());
  EXPECT_EQ(user.health(), Health::kOnline);
  EXPECT_GE(user.table_size(), 1u);
}

}  // namespace
}  // namespace hg::dht
