// dht-rpc's congestion window (npm dht-rpc 6.27 lib/io): four slots of 750 ms; full when two slots' worth
// is out in total or one slot's worth in the current slot. Pure state.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>

namespace hg::dht {

class CongestionWindow {
 public:
  static constexpr size_t kPerSlot = 80;
  static constexpr std::chrono::milliseconds kSlot{750};

  bool full() const { return total_ >= 2 * kPerSlot || slots_[current_] >= kPerSlot; }
  void on_send() {
    ++total_;
    ++slots_[current_];
  }
  void on_reply() {
    if (slots_[current_] == 0) return;
    --slots_[current_];
    --total_;
  }
  /// Every kSlot: the oldest slot is forgotten.
  void advance() {
    current_ = (current_ + 1) % slots_.size();
    total_ -= slots_[current_];
    slots_[current_] = 0;
  }

 private:
  std::array<size_t, 4> slots_{};
  size_t current_ = 0;
  size_t total_ = 0;
};

}  // namespace hg::dht
