// Identifiers that must not be mixed up.
#pragma once

#include "base/bytes.h"

namespace hg {

using PublicKey = ByteArray<32>;  // Ed25519
using SecretKey = ByteArray<64>;  // Ed25519, libsodium form: seed then public key
using Seed = ByteArray<32>;
using Hash32 = ByteArray<32>;  // BLAKE2b-256: node ids, targets, tokens
using Hash64 = ByteArray<64>;
using Topic = ByteArray<32>;

struct KeyPair {
  PublicKey public_key{};
  SecretKey secret_key{};
};

struct ArrayHash {
  template <size_t N>
  size_t operator()(const ByteArray<N>& a) const noexcept {
    static_assert(N >= sizeof(size_t));
    size_t h;
    std::memcpy(&h, a.data() + N - sizeof h, sizeof h);
    return h;
  }
};

}  // namespace hg
