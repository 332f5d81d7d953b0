// The life of a SecureConnection: pauses, ends, handlers that come late, keepalives, silence.
#include "support/secure_sides.h"

namespace hg::noise {
namespace {

using namespace test;

TEST_F(Secure, PausedMidChunkNothingIsLostAndOrderIsKept) {
  open();
  for (uint8_t i = 0; i < 5; ++i) a_.connection->write(Buffer::copy_of(Bytes(10, i)));
  b_.recorder.on_message = [this] {
    if (b_.recorder.messages.size() == 2) b_.connection->pause_reading();
  };
  carry(a_, b_);
  EXPECT_EQ(b_.recorder.messages.size(), 2u);
  EXPECT_TRUE(b_.raw->paused);
  b_.raw->handler().on_end();
  world_.run_for(1ms);
  EXPECT_EQ(b_.recorder.ends, 0);
  b_.connection->resume_reading();
  world_.run_for(1ms);
  ASSERT_EQ(b_.recorder.messages.size(), 5u);
  for (uint8_t i = 0; i < 5; ++i) EXPECT_EQ(b_.recorder.messages[i], Bytes(10, i));
  EXPECT_EQ(b_.recorder.ends, 1);
}

TEST_F(Secure, AGracefulCloseDoesNotOvertakeUnreadData) {
  open();
  a_.connection->write(Buffer::copy_of(Bytes(10, 1)));
  b_.connection->pause_reading();
  carry(a_, b_);
  b_.raw->handler().on_end();
  b_.raw->handler().on_close(std::nullopt);
  EXPECT_EQ(b_.recorder.closes, 0);
  b_.connection->resume_reading();
  world_.run_for(1ms);
  EXPECT_EQ(b_.recorder.messages.size(), 1u);
  EXPECT_EQ(b_.recorder.closes, 1);
  EXPECT_FALSE(b_.recorder.close_error);
}

TEST_F(Secure, WithoutAHandlerItWaits) {
  make(a_, true);
  make(b_, false, false);
  a_.connection->write(Buffer::copy_of(Bytes(3, 1)));
  carry(a_, b_);
  EXPECT_TRUE(b_.connection->open());
  EXPECT_TRUE(b_.raw->paused);
  b_.connection->set_handler(&b_.recorder);
  world_.run_for(1ms);
  EXPECT_EQ(b_.recorder.messages, (std::vector<Bytes>{Bytes(3, 1)}));
  EXPECT_FALSE(b_.raw->paused);
}

TEST_F(Secure, AHandlerThatComesLateHearsOfOpenAndClose) {
  make(a_, true);
  make(b_, false, false);
  carry(a_, b_);
  b_.connection->destroy(Error{"X", "x"});
  world_.run_for(1ms);
  b_.connection->set_handler(&b_.recorder);
  world_.run_for(1ms);
  EXPECT_EQ(b_.recorder.closes, 1);
  EXPECT_EQ(b_.recorder.close_error->code, "X");

  Side c;
  make(c, false, false);
  feed(c, hex_bytes(v_.at("client").at("header_frame")));
  c.connection->set_handler(&c.recorder);
  world_.run_for(1ms);
  EXPECT_EQ(c.recorder.opened, 1);
}

TEST_F(Secure, KeepalivesGoOutEveryFiveSecondsWithoutAWriteAndAreSwallowed) {
  open();
  const auto run = [this](Duration span) {
    for (Duration t{}; t < span; t += 500ms) {
      a_.raw->heard = host_.now();
      b_.raw->heard = host_.now();
      world_.run_for(500ms);
    }
  };
  run(4500ms);
  a_.connection->write(Buffer::copy_of(Bytes(1, 1)));
  a_.raw->sent.clear();
  run(4500ms);
  EXPECT_TRUE(a_.raw->sent.empty()) << "a write postpones the keepalive";
  run(1s);
  EXPECT_EQ(a_.raw->sent.size(), 20u) << "one empty message";
  run(10s);
  EXPECT_EQ(a_.raw->sent.size(), 60u);
  EXPECT_EQ(a_.raw->probes, 0) << "a peer that is heard is not probed";
}

TEST_F(Secure, ASilentPeerIsProbedAndGivenUpInLessThanTenSeconds) {
  open();
  const TimePoint start = host_.now();
  a_.raw->heard = start;
  EXPECT_TRUE(world_.run_until([this] { return a_.raw->probes > 0; }, 5s));
  EXPECT_GE(host_.now() - start, Liveness::kAskAfter);
  EXPECT_TRUE(world_.run_until([this] { return a_.recorder.closes > 0; }, 20s));
  EXPECT_EQ(a_.raw->probes, Liveness::kAsksBeforeDead);
  EXPECT_LT(host_.now() - start, 10s);
  EXPECT_EQ(a_.recorder.close_error->code, "ETIMEDOUT");
}

TEST_F(Secure, AnAnswerToAProbeKeepsItAlive) {
  open();
  for (int i = 0; i < 10; ++i) {
    const int before = a_.raw->probes;
    ASSERT_TRUE(world_.run_until([&] { return a_.raw->probes > before; }, 10s));
    a_.raw->heard = host_.now();
  }
  EXPECT_EQ(a_.recorder.closes, 0);
}

TEST_F(Secure, WhenTheOtherSideEndsWeEnd) {
  open();
  b_.raw->handler().on_end();
  EXPECT_EQ(b_.recorder.ends, 1);
  EXPECT_TRUE(b_.raw->ended);
}

TEST_F(Secure, TheCloseObserverHearsOfEveryWayOut) {
  int heard = 0;
  make_pair();
  a_.connection->set_close_observer([&](const std::optional<Error>&) { heard++; });
  a_.connection->destroy();
  world_.run_for(1ms);
  EXPECT_EQ(heard, 1);
  EXPECT_EQ(a_.recorder.closes, 1);
  b_.connection->set_close_observer([&](const std::optional<Error>&) { heard++; });
  bool gone = false;
  b_.raw->gone = &gone;
  b_.connection.reset();
  EXPECT_EQ(heard, 2);
  EXPECT_TRUE(gone);
  EXPECT_EQ(b_.recorder.closes, 0) << "destroying the object silences it";
}

}  // namespace
}  // namespace hg::noise
