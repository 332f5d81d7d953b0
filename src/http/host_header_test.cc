#include "http/host_header.h"

#include <gtest/gtest.h>

namespace hg::http {
namespace {

TEST(HostHeader, KnowsWhatAPageOfOthersMayCallUs) {
  for (const char* ours : {"127.0.0.1:9090", "127.0.0.1", "[::1]:9090", "[::1]", "::1", "localhost", "localhost:9090", "10.0.0.5:9090", ""})
    EXPECT_TRUE(names_an_address(ours)) << ours;
  for (const char* theirs : {"evil.example", "evil.example:9090", "localhost.evil.example", "127.0.0.1.evil.example:9090",
                             "[::1].evil:9090", "1:2:3", "[::1", "0x7f.1"})
    EXPECT_FALSE(names_an_address(theirs)) << theirs;
}

TEST(HostHeader, ARequestWithoutOneIsNoBrowsers) {
  Request request;
  EXPECT_TRUE(is_asked_by_address(request));
  request.headers["host"] = "evil.example";
  EXPECT_FALSE(is_asked_by_address(request));
}

TEST(HostHeader, ANameThatNobodyHasInPublicIsOurs) {
  Request request;
  EXPECT_TRUE(is_asked_by_own_name(request));
  for (const char* ours : {"127.0.0.1:8080", "resolver_upstream", "provider:8080", "host.docker.internal:8080"}) {
    request.headers["host"] = ours;
    EXPECT_TRUE(is_asked_by_own_name(request)) << ours;
  }
  for (const char* theirs : {"evil.example", "evil.example:8080", "evil.internal.example", "[::1].evil"}) {
    request.headers["host"] = theirs;
    EXPECT_FALSE(is_asked_by_own_name(request)) << theirs;
  }
}

TEST(HostHeader, KnowsLoopbackInEverySpelling) {
  for (const char* here : {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"})
    EXPECT_TRUE(is_loopback(*io::SocketAddress::parse(here, 80))) << here;
  for (const char* elsewhere : {"0.0.0.0", "::", "10.0.0.1"})
    EXPECT_FALSE(is_loopback(*io::SocketAddress::parse(elsewhere, 80))) << elsewhere;
}

}  // namespace
}  // namespace hg::http
