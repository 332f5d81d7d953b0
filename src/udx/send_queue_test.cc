#include "udx/send_queue.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace hg::udx {
namespace {

TEST(SendQueue, GathersAnyRangeOfWhatWasWritten) {
  SeededRng rng(3);
  SendQueue queue;
  Bytes all;
  uint64_t released = 0;
  for (int step = 0; step < 3000; ++step) {
    const size_t size = rng.below(3) == 0 ? rng.below(5000) : rng.below(100);
    Bytes bytes(size);
    rng.fill(bytes);
    append_bytes(all, bytes);
    queue.append(Buffer::copy_of(bytes));
    ASSERT_EQ(queue.end(), all.size());
    if (all.size() > released) {
      const uint64_t from = released + rng.below(static_cast<uint32_t>(all.size() - released));
      const size_t length = std::min<size_t>(rng.below(2000), all.size() - from);
      std::vector<ByteView> slices;
      queue.gather(from, length, slices);
      Bytes joined;
      for (ByteView slice : slices) append_bytes(joined, slice);
      ASSERT_TRUE(equal_bytes(joined, ByteView(all).subspan(from, length)));
    }
    if (rng.below(4) == 0 && all.size() > released) {
      released += rng.below(static_cast<uint32_t>(std::min<uint64_t>(all.size() - released, 9000)));
      queue.release_before(released);
    }
  }
}

TEST(SendQueue, JoinsSmallWrites) {
  SendQueue queue;
  for (int i = 0; i < 200; ++i) queue.append(Buffer::copy_of(as_bytes("0123456789")));
  std::vector<ByteView> slices;
  queue.gather(0, 2000, slices);
  EXPECT_LE(slices.size(), 3u);
}

}  // namespace
}  // namespace hg::udx
