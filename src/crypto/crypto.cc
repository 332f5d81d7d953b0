#include "crypto/crypto.h"

#include <sodium.h>

#include <cstdio>
#include <cstdlib>

namespace hg::crypto {

static_assert(sizeof(PublicKey) == crypto_sign_PUBLICKEYBYTES);
static_assert(sizeof(SecretKey) == crypto_sign_SECRETKEYBYTES);
static_assert(sizeof(Seed) == crypto_sign_SEEDBYTES);

namespace {

class SystemRng final : public Rng {
 public:
  void fill(MutableBytes out) override { randombytes_buf(out.data(), out.size()); }
};

constexpr size_t kHmacBlock = 128;  // BLAKE2b's block, the B of HMAC (RFC 2104)

}  // namespace

void init() {
  if (sodium_init() < 0) {
    std::fputs("libsodium cannot start\n", stderr);
    std::abort();
  }
}

Rng& system_rng() {
  static SystemRng rng;
  return rng;
}

void blake2b(MutableBytes out, std::initializer_list<ByteView> parts, ByteView key) {
  crypto_generichash_state state;
  crypto_generichash_init(&state, key.empty() ? nullptr : key.data(), key.size(), out.size());
  for (ByteView part : parts) crypto_generichash_update(&state, part.data(), part.size());
  crypto_generichash_final(&state, out.data(), out.size());
}

Hash32 blake2b_256(std::initializer_list<ByteView> parts, ByteView key) {
  Hash32 out;
  blake2b(out, parts, key);
  return out;
}

Hash64 blake2b_512(std::initializer_list<ByteView> parts, ByteView key) {
  Hash64 out;
  blake2b(out, parts, key);
  return out;
}

Hash64 hmac_blake2b_512(ByteView key, std::initializer_list<ByteView> parts) {
  ByteArray<kHmacBlock> inner_pad{};
  ByteArray<kHmacBlock> outer_pad{};
  Hash64 short_key;
  if (key.size() > kHmacBlock) {
    short_key = blake2b_512({key});
    key = short_key;
  }
  std::copy(key.begin(), key.end(), inner_pad.begin());
  outer_pad = inner_pad;
  for (uint8_t& b : inner_pad) b ^= 0x36;
  for (uint8_t& b : outer_pad) b ^= 0x5c;

  crypto_generichash_state state;
  Hash64 inner;
  crypto_generichash_init(&state, nullptr, 0, inner.size());
  crypto_generichash_update(&state, inner_pad.data(), inner_pad.size());
  for (ByteView part : parts) crypto_generichash_update(&state, part.data(), part.size());
  crypto_generichash_final(&state, inner.data(), inner.size());
  const Hash64 out = blake2b_512({outer_pad, inner});
  wipe(inner_pad);
  wipe(outer_pad);
  return out;
}

HkdfPair hkdf_blake2b_512(const Hash64& chaining_key, ByteView input) {
  const uint8_t one = 1;
  const uint8_t two = 2;
  Hash64 temp = hmac_blake2b_512(chaining_key, {input});
  HkdfPair out;
  out.first = hmac_blake2b_512(temp, {{&one, 1}});
  out.second = hmac_blake2b_512(temp, {out.first, {&two, 1}});
  wipe(temp);
  return out;
}

KeyPair key_pair_from_seed(const Seed& seed) {
  KeyPair pair;
  crypto_sign_seed_keypair(pair.public_key.data(), pair.secret_key.data(), seed.data());
  return pair;
}

KeyPair random_key_pair(Rng& rng) {
  Seed seed = rng.array<32>();
  const KeyPair pair = key_pair_from_seed(seed);
  wipe(seed);
  return pair;
}

ByteArray<64> sign_detached(ByteView message, const SecretKey& secret_key) {
  ByteArray<64> signature;
  crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(), secret_key.data());
  return signature;
}

bool verify_detached(ByteView signature, ByteView message, const PublicKey& public_key) {
  return signature.size() == crypto_sign_BYTES &&
         crypto_sign_verify_detached(signature.data(), message.data(), message.size(), public_key.data()) == 0;
}

std::optional<ByteArray<32>> ed25519_dh(const SecretKey& local, const PublicKey& remote) {
  ByteArray<64> scalar;
  crypto_hash_sha512(scalar.data(), local.data(), 32);
  scalar[0] &= 248;
  scalar[31] &= 127;
  scalar[31] |= 64;
  ByteArray<32> out;
  const int failed = crypto_scalarmult_ed25519_noclamp(out.data(), scalar.data(), remote.data());
  wipe(scalar);
  if (failed != 0) return std::nullopt;
  return out;
}

void aead_encrypt(MutableBytes out, ByteView message, ByteView associated, const ByteArray<12>& nonce, ByteView key32) {
  assert(out.size() == message.size() + 16 && key32.size() == 32);
  unsigned long long length = 0;
  crypto_aead_chacha20poly1305_ietf_encrypt(out.data(), &length, message.data(), message.size(), associated.data(), associated.size(),
                                            nullptr, nonce.data(), key32.data());
}

bool aead_decrypt(MutableBytes out, ByteView cipher, ByteView associated, const ByteArray<12>& nonce, ByteView key32) {
  if (cipher.size() < 16 || out.size() != cipher.size() - 16) return false;
  unsigned long long length = 0;
  return crypto_aead_chacha20poly1305_ietf_decrypt(out.data(), &length, nullptr, cipher.data(), cipher.size(), associated.data(),
                                                   associated.size(), nonce.data(), key32.data()) == 0;
}

void secretbox_seal(MutableBytes out, ByteView message, const ByteArray<24>& nonce, ByteView key32) {
  assert(out.size() == message.size() + 16 && key32.size() == 32);
  crypto_secretbox_easy(out.data(), message.data(), message.size(), nonce.data(), key32.data());
}

bool secretbox_open(MutableBytes out, ByteView cipher, const ByteArray<24>& nonce, ByteView key32) {
  if (cipher.size() < 16 || out.size() != cipher.size() - 16) return false;
  return crypto_secretbox_open_easy(out.data(), cipher.data(), cipher.size(), nonce.data(), key32.data()) == 0;
}

Hash64 argon2id_interactive(ByteView password, const ByteArray<16>& salt) {
  Hash64 out;
  if (crypto_pwhash(out.data(), out.size(), reinterpret_cast<const char*>(password.data()), password.size(), salt.data(),
                    crypto_pwhash_OPSLIMIT_INTERACTIVE, crypto_pwhash_MEMLIMIT_INTERACTIVE, crypto_pwhash_ALG_ARGON2ID13) != 0) {
    std::fputs("not enough memory to derive the router key (64 MiB)\n", stderr);
    std::abort();
  }
  return out;
}

bool equal_secret(ByteView a, ByteView b) { return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0; }

void wipe(MutableBytes secret) { sodium_memzero(secret.data(), secret.size()); }

}  // namespace hg::crypto
