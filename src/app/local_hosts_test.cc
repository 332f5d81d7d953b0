#include "app/local_hosts.h"

#include <gtest/gtest.h>

namespace hg::app {
namespace {

constexpr TimePoint kStart{1h};

TEST(LocalHosts, OneThatIsGoneCountsForAMoment) {
  LocalHosts local;
  local.set({"db", "web"}, kStart);
  EXPECT_EQ(local.next_settled(kStart), TimePoint::max());
  local.set({"web"}, kStart + 1s);
  EXPECT_TRUE(local.contains("db", kStart + 2s));
  EXPECT_EQ(local.next_settled(kStart + 2s), kStart + 3s);
  EXPECT_FALSE(local.contains("db", kStart + 3s));
  EXPECT_TRUE(local.contains("web", kStart + 24h));
  EXPECT_EQ(local.next_settled(kStart + 3s), TimePoint::max());
}

TEST(LocalHosts, OneThatComesBackIsHere) {
  LocalHosts local;
  local.set({"db"}, kStart);
  local.set({}, kStart + 1s);
  local.set({"db"}, kStart + 2s);
  EXPECT_TRUE(local.contains("db", kStart + 24h));
}

TEST(LocalHosts, ThoseOfContainersThatComeAndGoAreForgottenThoughNobodyAsks) {
  LocalHosts local;
  for (int i = 0; i < 1000; ++i) local.set({"job" + std::to_string(i)}, kStart + i * 1s);
  EXPECT_LE(local.size(), 3u);
}

}  // namespace
}  // namespace hg::app
