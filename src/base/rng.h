// Randomness, injected so that simulations and fuzzers repeat.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace hg {

class Rng {
 public:
  virtual ~Rng() = default;
  virtual void fill(MutableBytes out) = 0;

  uint32_t u32();
  /// Uniform in [0, bound); bound > 0.
  uint32_t below(uint32_t bound);
  template <size_t N>
  ByteArray<N> array() {
    ByteArray<N> out;
    fill(out);
    return out;
  }
};

/// A small seeded generator (SplitMix64) for tests and simulations; never for secrets.
class SeededRng final : public Rng {
 public:
  explicit SeededRng(uint64_t seed) : state_(seed) {}
  void fill(MutableBytes out) override;

 private:
  uint64_t next();
  uint64_t state_;
};

}  // namespace hg
