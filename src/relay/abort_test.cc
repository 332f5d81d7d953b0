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
  /// The service answers and resets; returns when `c` has heard of it.
  void answer_and_break_off(Endpoint& c) {
    service().send_pattern(1000);
    break_off_service();
    EXPECT_TRUE(wait([&] { return c.ended || c.reset; }));
    EXPECT_TRUE(c.holds_pattern(1000));
  }
};

TEST_F(AbortTest, AServiceThatBreaksOffResetsItsClient) {
  start();
  auto c = joined();
  answer_and_break_off(*c);
  EXPECT_TRUE(c->reset);
  EXPECT_TRUE(wait([&] { return gates_->clients() == 0 && links_->links() == 0; }));
}

// It resets only because of what it has not read: all that it wanted to say is there.
TEST_F(AbortTest, AServiceThatClosesWithItsInputUnreadEndsItsClient) {
  start();
  auto c = joined();
  service().pause();
  c->send(as_bytes("GET"));
  ASSERT_TRUE(wait([&] { return provider_->counters().bytes_from_peers == 3; }));
  answer_and_break_off(*c);
  EXPECT_FALSE(c->reset);
}

TEST_F(AbortTest, AServiceThatResetsLongAfterItsInputBrokeOff) {
  start();
  auto c = joined();
  c->send(as_bytes("GET"));
  ASSERT_TRUE(wait([&] { return service().in.size() == 3; }));
  wait([] { return false; }, 1100ms);
  answer_and_break_off(*c);
  EXPECT_TRUE(c->reset);
}

// It closes in order, so its reset comes only when more is sent to it.
TEST_F(AbortTest, AServiceDoesNotTalkOnToAClientThatHasLeft) {
  start();
  auto c = joined();
  c->end();
  ASSERT_TRUE(wait([&] { return service().ended; }));
  service().send_pattern(1000);
  ASSERT_TRUE(wait([&] { return c->in.size() == 1000; }));
  c.reset();
  service().send_pattern(1000);
  EXPECT_TRUE(wait([&] { return gates_->clients() == 0 && links_->links() == 0; }, 2s));
}

TEST_F(AbortTest, AClientThatReadsLateHasEverythingBeforeTheReset) {
  start();
  auto c = joined();
  c->pause();
  service().send_pattern(1'000'000);  // more than the client's kernel takes, less than both
  break_off_service();
  ASSERT_TRUE(wait([&] { return gateway_->counters().channels_open == 0; }));
  EXPECT_FALSE(wait([&] { return gates_->clients() == 0; }, 300ms)) << "it is not reset while it has not everything";
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

// The gateway has all of it, its end as well, when the connection to the provider is lost.
TEST_F(AbortTest, AWholeAnswerOutlivesTheConnectionToItsProvider) {
  start();
  auto c = joined();
  c->pause();
  service().send_pattern(1'000'000);
  service().end();
  ASSERT_TRUE(wait([&] { return gateway_->counters().bytes_from_peers == 1'000'000; }));
  wait([] { return false; }, 100ms);  // its end comes behind it
  provider_end_->destroy();
  ASSERT_TRUE(wait([&] { return gateway_->counters().channels_open == 0; }));
  c->resume();
  ASSERT_TRUE(wait([&] { return c->ended || c->reset; }));
  EXPECT_FALSE(c->reset);
  EXPECT_TRUE(c->holds_pattern(1'000'000)) << c->in.size();
}

TEST_F(AbortTest, AnAnswerCutShortByALostConnectionArrivesAsFarAsItCameAndIsReset) {
  start();
  auto c = joined();
  c->pause();
  service().send_pattern(1'000'000);
  ASSERT_TRUE(wait([&] { return gateway_->counters().bytes_from_peers == 1'000'000; }));
  provider_end_->destroy();
  ASSERT_TRUE(wait([&] { return gateway_->counters().channels_open == 0; }));
  c->resume();
  ASSERT_TRUE(wait([&] { return c->ended || c->reset; }));
  EXPECT_TRUE(c->reset);
  EXPECT_TRUE(c->holds_pattern(1'000'000)) << c->in.size();
}

TEST_F(AbortTest, AWholeUploadOutlivesTheConnectionToItsGateway) {
  start();
  auto c = joined();
  service().pause();
  c->send_pattern(1'000'000);
  c->end();
  ASSERT_TRUE(wait([&] { return provider_->counters().bytes_from_peers == 1'000'000; }));
  wait([] { return false; }, 100ms);  // its end comes behind it
  gateway_end_->destroy();
  ASSERT_TRUE(wait([&] { return provider_->counters().channels_open == 0; }));
  service().resume();
  ASSERT_TRUE(wait([&] { return service().ended || service().reset; }));
  EXPECT_TRUE(service().holds_pattern(1'000'000)) << service().in.size();
}

// The provider learns of the reset from a write, while the path takes no more of what it has to read.
class AnswerLeftTest : public AbortTest, public ::testing::WithParamInterface<bool> {
 protected:
  static constexpr size_t kAnswer = 100'000;  // one window, and less than one more
};

TEST_P(AnswerLeftTest, ArrivesWhole) {
  tunnel::Limits limits;
  limits.initial_window = 65536;
  delay_ = 200ms;
  start(limits);
  auto c = joined();
  c->send(as_bytes("PUT"));
  ASSERT_TRUE(wait([&] { return service().in.size() == 3; }));
  service().pause();
  c->send_pattern(50'000);
  service().send_pattern(kAnswer);
  if (GetParam()) service().end();
  break_off_service();
  ASSERT_TRUE(wait([&] { return c->ended || c->reset; }));
  EXPECT_TRUE(c->holds_pattern(kAnswer));
  EXPECT_FALSE(c->reset);
}

INSTANTIATE_TEST_SUITE_P(BeforeTheReset, AnswerLeftTest, testing::Bool(),
                         [](const auto& param) { return param.param ? "Ended" : "NotEnded"; });

}  // namespace
}  // namespace hg::relay
