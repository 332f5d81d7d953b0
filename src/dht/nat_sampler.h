// What dht-rpc believes about its own address (npm nat-sampler 1.0): how others saw us, sampled.
//
// A ring of 16 samples, each counted twice: by exact address and by host alone. A new sample joins an
// equal one among the last four, else starts a count of its own; overwriting a slot lowers its count. The
// best counts decide against a threshold of (n - 0..3). Pure state.
#pragma once

#include <memory>
#include <vector>

#include "base/endpoint.h"

namespace hg::dht {

class NatSampler {
 public:
  /// Returns how often this exact address has been counted.
  int add(const Endpoint& seen_as);
  /// Samples so far, at most 16.
  size_t size() const { return size_; }
  bool known() const { return known_; }
  /// Meaningful while known(); port 0: the port differs from peer to peer.
  const Endpoint& address() const { return address_; }

 private:
  struct Record {
    Endpoint address;
    int hits = 1;
  };
  using Shared = std::shared_ptr<Record>;
  Shared bump(const Endpoint& address, size_t behind);

  static constexpr size_t kSlots = 32;
  std::vector<Shared> ring_;
  size_t top_ = 0;
  size_t size_ = 0;
  int threshold_ = 0;
  Shared best_exact_;
  Shared best_host_;
  bool known_ = false;
  Endpoint address_;
};

}  // namespace hg::dht
