// A ring of records for the consecutive sequence numbers [begin, end): O(1) by number, grows on demand, gives its memory
// back when asked while empty. One thread.
#pragma once

#include <cassert>
#include <memory>
#include <type_traits>
#include <utility>

#include "udx/seq.h"

namespace hg::udx {

template <class T>
class SeqRing {
 public:
  explicit SeqRing(Seq start = 0) : begin_(start), end_(start) {}

  Seq begin() const { return begin_; }
  Seq end() const { return end_; }
  size_t size() const { return end_ - begin_; }
  size_t capacity() const { return capacity_; }
  bool empty() const { return begin_ == end_; }
  bool contains(Seq seq) const { return seq - begin_ < end_ - begin_; }

  T& operator[](Seq seq) {
    assert(contains(seq));
    return slots_[seq & (capacity_ - 1)];
  }
  const T& operator[](Seq seq) const {
    assert(contains(seq));
    return slots_[seq & (capacity_ - 1)];
  }

  /// Appends a fresh record for end().
  T& push_back() {
    if (size() == capacity_) grow(capacity_ == 0 ? kFirstCapacity : capacity_ * 2);
    T& slot = slots_[end_++ & (capacity_ - 1)];
    slot = T{};
    return slot;
  }
  /// Makes `seq` (at or after begin()) part of the ring, with fresh records in between.
  void extend_to(Seq seq) {
    while (!contains(seq)) push_back();
  }
  void pop_front() {
    assert(!empty());
    if constexpr (!std::is_trivially_destructible_v<T>) slots_[begin_ & (capacity_ - 1)] = T{};
    ++begin_;
  }
  /// Moves an empty ring on to `seq`.
  void restart_at(Seq seq) {
    assert(empty());
    begin_ = end_ = seq;
  }
  /// Gives the memory of an empty ring back.
  void release() {
    assert(empty());
    slots_.reset();
    capacity_ = 0;
  }

 private:
  static constexpr size_t kFirstCapacity = 8;

  void grow(size_t capacity) {
    auto slots = std::make_unique<T[]>(capacity);
    for (Seq seq = begin_; seq != end_; ++seq) slots[seq & (capacity - 1)] = std::move(slots_[seq & (capacity_ - 1)]);
    slots_ = std::move(slots);
    capacity_ = capacity;
  }

  std::unique_ptr<T[]> slots_;
  size_t capacity_ = 0;  // a power of two, or 0
  Seq begin_;
  Seq end_;
};

}  // namespace hg::udx
