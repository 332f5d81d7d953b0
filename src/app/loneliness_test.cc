#include "app/loneliness.h"

#include <gtest/gtest.h>

#include "sim/world.h"
#include "support/log_lines.h"

namespace hg::app {
namespace {

TEST(Loneliness, IsSaidOnceAMinuteWhileItLasts) {
  sim::World world;
  sim::Host& host = world.add_host("10.0.0.1");
  test::LogLines lines;
  bool lonely = true;
  LonelinessNotice notice(host, [&] { return lonely; });
  world.run_for(std::chrono::minutes(10));
  EXPECT_EQ(lines.all.size(), 10u);
  lonely = false;
  world.run_for(std::chrono::minutes(10));
  EXPECT_EQ(lines.all.size(), 10u);
}

}  // namespace
}  // namespace hg::app
