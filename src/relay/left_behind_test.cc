#include "relay/left_behind.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace hg::relay {
namespace {

struct Holder final : Remainder::Owner {
  size_t under_way() const override { return in_kernel; }
  bool held_back() const override { return false; }
  void cut_off() override {
    ++cuts;
    remainder.reset();
  }
  void hold(LeftBehind& all, size_t bytes) {
    remainder = std::make_unique<Remainder>(all, *this, bytes);
    all.make_room();
  }

  size_t in_kernel = 1000;
  int cuts = 0;
  std::unique_ptr<Remainder> remainder;
};

TEST(LeftBehind, ANewcomerMakesRoomWhereAllOthersAreServed) {
  SeededRng rng(1);
  io::Loop loop(rng);
  tunnel::Limits limits;
  limits.max_left_behind = 100;
  limits.left_behind_patience = 3s;
  LeftBehind all(loop, limits);
  Holder served, newcomer;
  served.hold(all, 60);
  loop.run_until([] { return false; }, 1100ms);  // it is worth a look only after a while
  served.in_kernel = 900;
  newcomer.hold(all, 60);
  EXPECT_EQ(served.cuts, 0);
  EXPECT_EQ(newcomer.cuts, 1);
  EXPECT_EQ(all.bytes(), 60u);
}

TEST(LeftBehind, TheOneLongestWithoutProgressMakesRoom) {
  SeededRng rng(1);
  io::Loop loop(rng);
  tunnel::Limits limits;
  limits.max_left_behind = 100;
  LeftBehind all(loop, limits);
  Holder first, second, third;
  first.hold(all, 40);
  second.hold(all, 40);
  first.remainder->wrote(1);
  third.hold(all, 40);
  EXPECT_EQ(first.cuts, 0);
  EXPECT_EQ(second.cuts, 1);
  EXPECT_EQ(third.cuts, 0);
  EXPECT_EQ(all.bytes(), 79u);
}

}  // namespace
}  // namespace hg::relay
