#include "app/check.h"

#include <gtest/gtest.h>

namespace hg::app {
namespace {

TEST(Check, SaysWhatAFileIsOrWhereItIsWrong) {
  EXPECT_EQ("services, 22 gates", *describe_file(R"([{"gatePort":"80-90","protocol":"tcp+udp"}])", "f"));
  EXPECT_EQ("ingress policy, 1 rules", *describe_file(R"({"defaults":{},"ips":{"*":{}}})", "f"));
  EXPECT_EQ("gateway filter, 1 entries", *describe_file(R"([{"tags":"docker"}])", "f"));
  EXPECT_EQ("f: $.ips[\"x\"]: \"x\" is not accepted; an IPv4 or IPv6 address, a CIDR of either, or *",
            describe_file(R"({"ips":{"x":{}}})", "f").error().message);
  EXPECT_NE(std::string::npos, describe_file(R"([{"gatePort":0}])", "f").error().message.find("$[0].gatePort"));
  EXPECT_FALSE(describe_file("{", "f"));
}

}  // namespace
}  // namespace hg::app
