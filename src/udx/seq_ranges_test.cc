#include "udx/seq_ranges.h"

#include <gtest/gtest.h>

#include <set>

#include "base/rng.h"

namespace hg::udx {
namespace {

TEST(SeqRanges, AgreesWithASetOfNumbers) {
  SeededRng rng(5);
  for (const Seq base : {0u, 0xffffff00u}) {
    SeqRanges ranges;
    std::set<uint32_t> model;  // offsets from base
    uint32_t floor = 0;
    for (int step = 0; step < 5000; ++step) {
      if (rng.below(20) == 0) {
        floor += rng.below(5);
        ranges.drop_below(base + floor);
        model.erase(model.begin(), model.lower_bound(floor));
      } else {
        const uint32_t start = floor + rng.below(300);
        const uint32_t end = start + 1 + rng.below(4);
        std::set<uint32_t> fresh;
        ranges.add(base + start, base + end, [&](Seq from, Seq to) {
          for (Seq s = from; s != to; ++s) fresh.insert(s - base);
        });
        for (uint32_t s = start; s < end; ++s) EXPECT_EQ(fresh.contains(s), model.insert(s).second);
      }
      size_t counted = 0;
      for (size_t i = 0; i < ranges.size(); ++i) {
        EXPECT_TRUE(i == 0 || seq_before(ranges[i - 1].end, ranges[i].start));
        for (Seq s = ranges[i].start; s != ranges[i].end; ++s) {
          EXPECT_TRUE(model.contains(s - base));
          ++counted;
        }
      }
      ASSERT_EQ(counted, model.size());
    }
  }
}

}  // namespace
}  // namespace hg::udx
