// A sorted set of sequence numbers kept as disjoint ranges [start, end): what a receiver holds beyond its ack, and what a
// sender knows to have arrived. Adding at the end and dropping from the front, the usual cases, are O(1). One thread.
#pragma once

#include <algorithm>
#include <vector>

#include "udx/seq.h"

namespace hg::udx {

struct SeqRange {
  Seq start = 0;
  Seq end = 0;
};

class SeqRanges {
 public:
  bool empty() const { return head_ == ranges_.size(); }
  size_t size() const { return ranges_.size() - head_; }
  const SeqRange& operator[](size_t index) const { return ranges_[head_ + index]; }
  const SeqRange& front() const { return ranges_[head_]; }
  const SeqRange& back() const { return ranges_.back(); }

  bool contains(Seq seq) const {
    const auto at = first_ending_after(seq);
    return at != ranges_.end() && seq_at_or_before(at->start, seq);
  }

  /// Adds [start, end); `fresh(start, end)` is called for each part that was not in the set.
  template <class Fresh>
  void add(Seq start, Seq end, Fresh&& fresh) {
    auto first = first_ending_after(start - 1);  // touches or follows [start, …)
    SeqRange merged{start, end};
    auto last = first;
    Seq covered = start;
    for (; last != ranges_.end() && seq_at_or_before(last->start, end); ++last) {
      if (seq_before(covered, last->start)) fresh(covered, last->start);
      if (seq_before(last->start, merged.start)) merged.start = last->start;
      if (seq_before(covered, last->end)) covered = last->end;
      if (seq_before(merged.end, last->end)) merged.end = last->end;
    }
    if (seq_before(covered, end)) fresh(covered, end);
    if (first == last) {
      ranges_.insert(first, merged);
      return;
    }
    *first = merged;
    ranges_.erase(first + 1, last);
  }
  void add(Seq seq) {
    add(seq, seq + 1, [](Seq, Seq) {});
  }

  void drop_below(Seq seq) {
    while (!empty() && seq_at_or_before(ranges_[head_].end, seq)) ++head_;
    if (!empty() && seq_before(ranges_[head_].start, seq)) ranges_[head_].start = seq;
    if (empty()) {
      ranges_.clear();
      head_ = 0;
    } else if (head_ >= 64 && head_ * 2 >= ranges_.size()) {
      ranges_.erase(ranges_.begin(), ranges_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
  }

  void release() {
    if (empty()) std::vector<SeqRange>().swap(ranges_), head_ = 0;
  }

 private:
  using Iterator = std::vector<SeqRange>::iterator;
  using ConstIterator = std::vector<SeqRange>::const_iterator;

  Iterator first_ending_after(Seq seq) {
    if (empty() || seq_at_or_before(ranges_.back().end, seq)) return ranges_.end();
    return std::partition_point(ranges_.begin() + static_cast<std::ptrdiff_t>(head_), ranges_.end(),
                                [seq](const SeqRange& r) { return seq_at_or_before(r.end, seq); });
  }
  ConstIterator first_ending_after(Seq seq) const { return const_cast<SeqRanges*>(this)->first_ending_after(seq); }

  std::vector<SeqRange> ranges_;
  size_t head_ = 0;
};

}  // namespace hg::udx
