// The primitives of the Hyperswarm stack on libsodium. The only room that knows libsodium or OpenSSL.
// Call init() once before anything else. Comparisons of secrets are constant-time.
#pragma once

#include <initializer_list>
#include <optional>

#include "base/bytes.h"
#include "base/expected.h"
#include "base/ids.h"
#include "base/rng.h"

namespace hg::crypto {

/// Aborts the program when libsodium cannot start; idempotent.
void init();

/// The operating system's generator.
Rng& system_rng();

/// BLAKE2b over the concatenation of `parts`, optionally keyed (key at most 64 bytes).
Hash32 blake2b_256(std::initializer_list<ByteView> parts, ByteView key = {});
Hash64 blake2b_512(std::initializer_list<ByteView> parts, ByteView key = {});
void blake2b(MutableBytes out, std::initializer_list<ByteView> parts, ByteView key = {});

/// HMAC-BLAKE2b-512 with a 128-byte block, and HKDF on it (Noise specification 4.3).
Hash64 hmac_blake2b_512(ByteView key, std::initializer_list<ByteView> parts);
struct HkdfPair {
  Hash64 first;
  Hash64 second;
};
HkdfPair hkdf_blake2b_512(const Hash64& chaining_key, ByteView input);

KeyPair key_pair_from_seed(const Seed& seed);
KeyPair random_key_pair(Rng& rng);
ByteArray<64> sign_detached(ByteView message, const SecretKey& secret_key);
[[nodiscard]] bool verify_detached(ByteView signature, ByteView message, const PublicKey& public_key);

/// Noise DH of hyperdht (noise-curve-ed): clamped SHA-512 of the seed times the remote Ed25519 point. nullopt on a bad point.
std::optional<ByteArray<32>> ed25519_dh(const SecretKey& local, const PublicKey& remote);

/// ChaCha20-Poly1305-IETF. encrypt writes message.size() + 16 bytes; decrypt false on a forgery.
void aead_encrypt(MutableBytes out, ByteView message, ByteView associated, const ByteArray<12>& nonce, ByteView key32);
[[nodiscard]] bool aead_decrypt(MutableBytes out, ByteView cipher, ByteView associated, const ByteArray<12>& nonce, ByteView key32);

/// XSalsa20-Poly1305 (crypto_secretbox_easy): out is message.size() + 16 bytes.
void secretbox_seal(MutableBytes out, ByteView message, const ByteArray<24>& nonce, ByteView key32);
[[nodiscard]] bool secretbox_open(MutableBytes out, ByteView cipher, const ByteArray<24>& nonce, ByteView key32);

/// Argon2id13, INTERACTIVE limits (2 passes, 64 MiB): blocking, tens of milliseconds.
Hash64 argon2id_interactive(ByteView password, const ByteArray<16>& salt);

/// Constant-time; false on different lengths.
[[nodiscard]] bool equal_secret(ByteView a, ByteView b);
void wipe(MutableBytes secret);

}  // namespace hg::crypto
