// What becomes of a connection that breaks off on one side: its other side does, too, behind what came before.
#include "support/relay_members.h"

namespace hg::relay {
namespace {

using namespace test;

class AbortTest : public RelayTest {
 protected:
  /// A client and its service, the channel between them open.
  std::unique_ptr<Endpoint> joined() {
    auto c = client();
    EXPECT_TRUE(wait([&] { return c->socket != nullptr && !served_.empty(); }));
    return c;
  }
  Endpoint& service() { return *served_.back(); }
  /// Resets the service's end once the provider's kernel has what it said.
  void break_off_service() {
    ASSERT_TRUE(wait([&] { return service().socket->unacknowledged() == 0; }));
    service().socket->reset_on_close();
    served_.clear();
  }
};

TEST_F(AbortTest, AServiceThatBreaksOffResetsItsClient) {
  start();
  auto c = joined();
  service().send_pattern(1000);
  ASSERT_TRUE(wait([&] { return c->in.size() == 1000; }));
  break_off_service();
  ASSERT_TRUE(wait([&] { return c->ended || c->reset; }));
  EXPECT_TRUE(c->reset);
  EXPECT_TRUE(wait([&] { return gates_->clients() == 0 && links_->links() == 0; }));
}

TEST_F(AbortTest, AClientThatReadsLateHasEverythingBeforeTheReset) {
  start();
  auto c = joined();
  c->pause();
  service().send_pattern(1'000'000);  // more than the client's kernel takes, less than both
  break_off_service();
  ASSERT_TRUE(wait([&] { return gateway_->counters().channels_open == 0; }));
  wait([] { return false; }, 300ms);
  c->resume();
  ASSERT_TRUE(wait([&] { return c->ended || c->reset; }));
  EXPECT_TRUE(c->reset);
  EXPECT_TRUE(c->holds_pattern(1'000'000));
  EXPECT_TRUE(wait([&] { return gates_->clients() == 0; }));
}

TEST_F(AbortTest, AClientThatTakesNothingIsResetAllTheSame) {
  start();
  auto c = joined();
  c->pause();
  service().send_pattern(1'000'000);
  break_off_service();
  EXPECT_TRUE(wait([&] { return gates_->clients() == 0; }, 8s));
  c->resume();
  ASSERT_TRUE(wait([&] { return c->ended || c->reset; }));
  EXPECT_TRUE(c->reset);
}

// The provider learns of the reset from a write, while the path takes no more of what it has to read.
class AnswerLeftTest : public AbortTest {
 protected:
  static constexpr size_t kAnswer = 100'000;  // one window, and less than one more

  AnswerLeftTest() {
    limits_.initial_window = 65536;
    delay_ = 200ms;
  }
  std::unique_ptr<Endpoint> answered_in_mid_upload(bool ended) {
    start(limits_);
    auto c = joined();
    c->send(as_bytes("PUT"));
    EXPECT_TRUE(wait([&] { return service().in.size() == 3; }));
    service().pause();
    c->send_pattern(50'000);
    service().send_pattern(kAnswer);
    if (ended) service().end();
    break_off_service();
    EXPECT_TRUE(wait([&] { return c->ended || c->reset; }));
    return c;
  }
};

TEST_F(AnswerLeftTest, AnAnswerBeforeAResetArrives) {
  auto c = answered_in_mid_upload(false);
  EXPECT_TRUE(c->holds_pattern(kAnswer));
  EXPECT_TRUE(c->reset);
}

TEST_F(AnswerLeftTest, AWholeAnswerBeforeAResetArrivesWithItsEnd) {
  auto c = answered_in_mid_upload(true);
  EXPECT_TRUE(c->holds_pattern(kAnswer));
  EXPECT_FALSE(c->reset);
}

}  // namespace
}  // namespace hg::relay
