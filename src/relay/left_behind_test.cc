#include "relay/left_behind.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "support/relay_members.h"

namespace hg::relay {
namespace {

using namespace test;

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

// Clients whose channel closes before they have taken all. The kernel's buffers hold less than an answer.
class LeftBehindTest : public RelayTest {
 protected:
  static constexpr size_t kAnswer = 6'000'000;

  LeftBehindTest() {
    limits_.initial_window = limits_.max_buffer_per_channel;
    limits_.max_buffer_per_peer = 1 << 30;
  }
  std::unique_ptr<Endpoint> asking_client(bool reads) {
    const size_t before = served_.size();
    auto c = client();
    EXPECT_TRUE(wait([&] { return served_.size() > before && c->socket != nullptr; }));
    if (!reads) c->pause();
    c->end();
    served_.back()->send_pattern(kAnswer);
    served_.back()->end();
    return c;
  }
  uint64_t cut_off() { return gateway_->counters().closed_left_behind; }
};

TEST_F(LeftBehindTest, IsBoundedAndWhoReadsGetsAll) {
  limits_.max_left_behind = 10'000'000;
  start(limits_);
  std::vector<std::unique_ptr<Endpoint>> clients;
  for (int i = 0; i < 12; ++i) clients.push_back(asking_client(false));
  auto honest = asking_client(true);
  size_t most = 0;
  ASSERT_TRUE(wait([&] {
    most = std::max(most, gates_->bytes_left_behind());
    return honest->ended && gateway_->counters().channels_open == 0;
  }));
  EXPECT_TRUE(honest->holds_pattern(kAnswer));
  EXPECT_GT(most, 0u);
  EXPECT_LE(most, limits_.max_left_behind);
  EXPECT_GT(cut_off(), 0u);
  EXPECT_LT(cut_off(), 12u);
  clients[0]->resume();
  ASSERT_TRUE(wait([&] { return clients[0]->reset; }));
  clients[11]->resume();
  ASSERT_TRUE(wait([&] { return clients[11]->ended; }));
  EXPECT_TRUE(clients[11]->holds_pattern(kAnswer));
}

TEST_F(LeftBehindTest, WhoTakesNothingIsCutOffAndWhoTakesLittleIsNot) {
  limits_.left_behind_patience = 300ms;
  start(limits_);
  auto slow = asking_client(false);
  Timer sip(loop_.timers(), [&] {
    slow->on_readable();
    sip.arm(loop_.now() + 50ms);
  });
  sip.arm(loop_.now());
  auto stuck = asking_client(false);
  ASSERT_TRUE(wait([&] { return cut_off() > 0 && slow->in.size() > 2'000'000; }));
  EXPECT_EQ(cut_off(), 1u);
  stuck->resume();
  ASSERT_TRUE(wait([&] { return stuck->reset; }));
  slow->resume();
  ASSERT_TRUE(wait([&] { return slow->ended; }));
  EXPECT_TRUE(slow->holds_pattern(kAnswer));
}

}  // namespace
}  // namespace hg::relay
