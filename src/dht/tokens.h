// Write tokens (npm dht-rpc 6.27 lib/io): prove that a requester can receive at its host.
//
// token(host) = BLAKE2b-256(dotted host, key = secret). Issued with the younger of two secrets, accepted
// with either; rotate() every 7.5 s: (s0, s1) ← (s1, BLAKE2b-256(s0)). Pure state.
#pragma once

#include "base/endpoint.h"
#include "base/ids.h"
#include "base/rng.h"

namespace hg::dht {

class Tokens {
 public:
  Tokens(const Hash32& s0, const Hash32& s1) : s0_(s0), s1_(s1) {}
  static Tokens random(Rng& rng) {
    const Hash32 s0 = rng.array<32>();
    return {s0, rng.array<32>()};
  }
  Hash32 issue(uint32_t host) const { return make(host, s1_); }
  [[nodiscard]] bool accepts(uint32_t host, const Hash32& token) const;
  void rotate();

 private:
  static Hash32 make(uint32_t host, const Hash32& secret);
  Hash32 s0_;
  Hash32 s1_;
};

}  // namespace hg::dht
