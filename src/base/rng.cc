#include "base/rng.h"

namespace hg {

uint32_t Rng::u32() {
  uint32_t value = 0;
  fill({reinterpret_cast<uint8_t*>(&value), sizeof value});
  return value;
}

uint32_t Rng::below(uint32_t bound) { return static_cast<uint32_t>(static_cast<uint64_t>(u32()) * bound >> 32); }

void SeededRng::fill(MutableBytes out) {
  for (size_t at = 0; at < out.size(); at += sizeof(uint64_t)) {
    const uint64_t word = next();
    std::memcpy(out.data() + at, &word, std::min(sizeof word, out.size() - at));
  }
}

uint64_t SeededRng::next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

}  // namespace hg
