#include "udx/receiver.h"

#include <gtest/gtest.h>

#include <string>

namespace hg::udx {
namespace {

struct Fixture : testing::Test {
  Receiver::Verdict accept(Seq seq, const std::string& text, bool end = false) {
    const auto verdict = receiver.accept(seq, end, as_bytes(text));
    if (verdict == Receiver::Verdict::kDirect) got += text;
    while (const auto view = receiver.next()) {
      got += as_text(*view);
      receiver.pop();
    }
    return verdict;
  }
  std::vector<wire::UdxSackRange> sacks(size_t room = 50) {
    std::vector<wire::UdxSackRange> out(room);
    out.resize(receiver.sacks(out));
    return out;
  }

  BlockPool pool;
  Receiver receiver{pool, 16 << 20};
  std::string got;
};
using ReceiverTest = Fixture;
using Verdict = Receiver::Verdict;

TEST_F(ReceiverTest, PutsTogetherOutOfOrder) {
  EXPECT_EQ(accept(2, "c"), Verdict::kKept);
  EXPECT_EQ(accept(1, "b"), Verdict::kKept);
  EXPECT_EQ(accept(2, "c"), Verdict::kOld);
  EXPECT_EQ(sacks(), (std::vector<wire::UdxSackRange>{{1, 3}}));
  EXPECT_EQ(accept(0, "a"), Verdict::kDirect);
  EXPECT_EQ(got, "abc");
  EXPECT_EQ(receiver.ack(), 3u);
  EXPECT_EQ(accept(1, "b"), Verdict::kOld);
  EXPECT_EQ(receiver.kept_bytes(), 0u);
}

TEST_F(ReceiverTest, PausedKeepsAcknowledgingAndClosesTheWindow) {
  receiver.pause();
  const uint32_t before = receiver.window();
  EXPECT_EQ(accept(0, std::string(1000, 'x')), Verdict::kKept);
  EXPECT_EQ(receiver.ack(), 1u);
  EXPECT_EQ(before - receiver.window(), 1000u);
  EXPECT_EQ(got, "");
  receiver.resume();
  EXPECT_EQ(accept(1, "y"), Verdict::kKept);
  EXPECT_EQ(got.size(), 1001u);
  EXPECT_EQ(receiver.window(), before);
}

TEST_F(ReceiverTest, TinyPacketsFillTheWindowToo) {
  receiver.pause();
  Seq seq = 0;
  while (accept(seq, "x") == Verdict::kKept) ++seq;
  EXPECT_LE(seq, ((16u << 20) + Receiver::kSlack) / Receiver::kMinCost);
  EXPECT_EQ(receiver.window(), 0u);
}

TEST_F(ReceiverTest, RefusesFarAhead) {
  EXPECT_EQ(accept(Receiver::kMaxSpan, "x"), Verdict::kRefused);
  EXPECT_EQ(accept(Receiver::kMaxSpan - 1, "x"), Verdict::kKept);
}

TEST_F(ReceiverTest, SmallWindowReservesLittleForWhatIsFarAhead) {
  Receiver small{pool, 64 << 10};
  EXPECT_EQ(small.accept(Receiver::kMaxSpan - 1, false, as_bytes("x")), Verdict::kRefused);
  Seq seq = 1;
  while (small.accept(seq, false, as_bytes("x")) == Verdict::kKept) ++seq;
  EXPECT_LE(seq, ((64u << 10) + Receiver::kSlack) / Receiver::kMinCost);
  EXPECT_LE(small.memory_bytes(), 64u << 10);
}

TEST_F(ReceiverTest, MemoryIsTwiceTheWindowAtMost) {
  for (const size_t window : {size_t{64} << 10, size_t{4} << 20}) {
    for (const size_t size : {1, 255, 257, 600, 736, 737, 1152, 1452}) {
      Receiver filled{pool, window};
      const std::string payload(size, 'x');
      Seq seq = 1;  // the first one is missing
      while (filled.accept(seq, false, as_bytes(payload)) == Verdict::kKept) ++seq;
      EXPECT_LE(filled.memory_bytes(), 2 * (window + Receiver::kSlack)) << window << ", " << size;
      EXPECT_TRUE(size < 1152 || seq * size >= window) << "packets of full size may fill it";
    }
  }
}

TEST_F(ReceiverTest, WindowMayGrow) {
  Receiver small{pool, 64 << 10};
  EXPECT_EQ(small.window(), 64u << 10);
  small.set_window(16 << 20);
  EXPECT_EQ(small.window(), 16u << 20);
  EXPECT_EQ(small.accept(Receiver::kMaxSpan - 1, false, as_bytes("x")), Verdict::kKept);
}

TEST_F(ReceiverTest, EndStandsAndNothingComesAfterIt) {
  EXPECT_EQ(accept(1, "b", true), Verdict::kKept);
  EXPECT_EQ(accept(2, "c"), Verdict::kRefused);
  EXPECT_FALSE(receiver.at_end());
  accept(0, "a");
  EXPECT_TRUE(receiver.at_end());
  EXPECT_EQ(got, "ab");
}

TEST_F(ReceiverTest, EndBelowKeptPacketsIsRefused) {
  accept(5, "f");
  EXPECT_EQ(accept(3, "d", true), Verdict::kRefused);
  EXPECT_FALSE(receiver.end_known());
}

TEST_F(ReceiverTest, ManyGapsReportLowestAndHighest) {
  for (Seq seq = 1; seq < 401; seq += 2) accept(seq, "x");
  const auto first = sacks();
  ASSERT_EQ(first.size(), 50u);
  EXPECT_EQ(first.front(), (wire::UdxSackRange{1, 2}));
  EXPECT_EQ(first.back(), (wire::UdxSackRange{399, 400}));
  std::vector<bool> reported(401);
  for (int i = 0; i < 20; ++i)
    for (const auto& range : sacks()) reported[range.start] = true;
  size_t missing = 0;
  for (Seq seq = 1; seq < 401; seq += 2) missing += reported[seq] ? 0 : 1;
  EXPECT_LE(missing, 15u);  // the rest of a rotation
}

}  // namespace
}  // namespace hg::udx
