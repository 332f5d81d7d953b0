#include "crypto/secretstream.h"

#include <openssl/evp.h>
#include <sodium.h>

#include <algorithm>

#include "crypto/crypto.h"

// The construction (libsodium crypto_secretstream_xchacha20poly1305):
//   1. subkey = HChaCha20(key, header[0..16)); nonce = LE32 counter (1) ‖ header[16..24)
//   2. per message: Poly1305 key = ChaCha20 block 0; tag block = 64 bytes (tag, zeros) under block 1; body from block 2
//   3. MAC over: encrypted tag block (64) ‖ cipher ‖ padding ‖ LE64 0 (no AD) ‖ LE64 64+len
//      The padding is (16 - 64 + len) mod 16 bytes: libsodium's own formula, which pads by len's low bits.
//   4. afterwards nonce[4..12) ^= MAC[0..8); counter + 1; at counter 0 the key is renewed
namespace hg::crypto {

namespace {

constexpr size_t kMacSize = 16;
constexpr size_t kTagBlock = 64;
constexpr size_t kCounterSize = 4;
constexpr size_t kInonceSize = 8;

void store_le64(uint8_t* out, uint64_t value) {
  for (int i = 0; i < 8; ++i) out[i] = static_cast<uint8_t>(value >> (8 * i));
}

struct CipherFree {
  void operator()(EVP_CIPHER_CTX* ctx) const { EVP_CIPHER_CTX_free(ctx); }
};
struct MacFree {
  void operator()(EVP_MAC_CTX* ctx) const { EVP_MAC_CTX_free(ctx); }
};

// Fetched once: a fetch by name for every connection would cost more than a small message.
const EVP_CIPHER* chacha20() {
  static const EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, "ChaCha20", nullptr);
  return cipher;
}
EVP_MAC* poly1305() {
  static EVP_MAC* mac = EVP_MAC_fetch(nullptr, "Poly1305", nullptr);
  return mac;
}

}  // namespace

struct SecretStreamCipher::State {
  ByteArray<32> key;
  ByteArray<12> nonce{};  // LE32 counter ‖ 8-byte inonce
  std::unique_ptr<EVP_CIPHER_CTX, CipherFree> cipher{EVP_CIPHER_CTX_new()};
  std::unique_ptr<EVP_MAC_CTX, MacFree> mac{EVP_MAC_CTX_new(poly1305())};
  bool key_loaded = false;

  ~State() { wipe(key); }

  void set_counter(uint32_t counter) {
    for (size_t i = 0; i < kCounterSize; ++i) nonce[i] = static_cast<uint8_t>(counter >> (8 * i));
  }
  uint32_t counter() const {
    uint32_t value = 0;
    for (size_t i = 0; i < kCounterSize; ++i) value |= static_cast<uint32_t>(nonce[i]) << (8 * i);
    return value;
  }

  // OpenSSL's ChaCha20 IV is LE32 block counter ‖ 12-byte nonce.
  void start_keystream() {
    ByteArray<16> iv{};
    std::copy(nonce.begin(), nonce.end(), iv.begin() + 4);
    if (key_loaded) {
      EVP_EncryptInit_ex2(cipher.get(), nullptr, nullptr, iv.data(), nullptr);
    } else {
      EVP_EncryptInit_ex2(cipher.get(), chacha20(), key.data(), iv.data(), nullptr);
      key_loaded = true;
    }
  }
  void crypt(uint8_t* bytes, size_t size) {
    int written = 0;
    EVP_EncryptUpdate(cipher.get(), bytes, &written, bytes, static_cast<int>(size));
  }
  void mac_update(const uint8_t* bytes, size_t size) { EVP_MAC_update(mac.get(), bytes, size); }

  // Keystream blocks 0 (Poly1305 key) and 1 (tag block) in one call.
  ByteArray<2 * kTagBlock> first_blocks() {
    start_keystream();
    ByteArray<2 * kTagBlock> blocks{};
    crypt(blocks.data(), blocks.size());
    EVP_MAC_init(mac.get(), blocks.data(), 32, nullptr);
    return blocks;
  }
  ByteArray<kMacSize> finish_mac(const uint8_t* body, size_t size) {
    static constexpr ByteArray<16> kZeros{};
    mac_update(body, size);
    mac_update(kZeros.data(), (0x10 - kTagBlock + size) & 0xf);
    ByteArray<16> lengths{};
    store_le64(lengths.data() + 8, kTagBlock + size);
    mac_update(lengths.data(), lengths.size());
    ByteArray<kMacSize> out;
    size_t length = 0;
    EVP_MAC_final(mac.get(), out.data(), &length, out.size());
    return out;
  }
  void advance(const ByteArray<kMacSize>& tag) {
    for (size_t i = 0; i < kInonceSize; ++i) nonce[kCounterSize + i] ^= tag[i];
    const uint32_t next = counter() + 1;
    set_counter(next);
    if (next == 0) rekey();
  }
  void rekey() {
    ByteArray<32 + kInonceSize> material;
    std::copy(key.begin(), key.end(), material.begin());
    std::copy(nonce.begin() + kCounterSize, nonce.end(), material.begin() + 32);
    start_keystream();
    crypt(material.data(), material.size());
    std::copy_n(material.begin(), 32, key.begin());
    std::copy_n(material.begin() + 32, kInonceSize, nonce.begin() + kCounterSize);
    wipe(material);
    key_loaded = false;
    set_counter(1);
  }
};

SecretStreamCipher::SecretStreamCipher(ByteView key32, const ByteArray<kHeaderSize>& header) : state_(std::make_unique<State>()) {
  assert(key32.size() == kKeySize);
  crypto_core_hchacha20(state_->key.data(), header.data(), key32.data(), nullptr);
  std::copy(header.begin() + 16, header.end(), state_->nonce.begin() + kCounterSize);
  state_->set_counter(1);
}
SecretStreamCipher::~SecretStreamCipher() = default;
SecretStreamCipher::SecretStreamCipher(SecretStreamCipher&&) noexcept = default;
SecretStreamCipher& SecretStreamCipher::operator=(SecretStreamCipher&&) noexcept = default;

void SecretStreamCipher::seal(MutableBytes unit) {
  assert(unit.size() >= kOverhead);
  const size_t size = unit.size() - kOverhead;
  const auto blocks = state_->first_blocks();  // tag MESSAGE is 0: the tag block is bare keystream
  unit[0] = blocks[kTagBlock];
  state_->mac_update(blocks.data() + kTagBlock, kTagBlock);
  state_->crypt(unit.data() + 1, size);
  const auto tag = state_->finish_mac(unit.data() + 1, size);
  std::copy(tag.begin(), tag.end(), unit.end() - kMacSize);
  state_->advance(tag);
}

std::optional<MutableBytes> SecretStreamCipher::open(MutableBytes unit) {
  if (unit.size() < kOverhead) return std::nullopt;
  const size_t size = unit.size() - kOverhead;
  auto blocks = state_->first_blocks();
  blocks[kTagBlock] = unit[0];  // the MAC covers the block with the received, encrypted tag
  state_->mac_update(blocks.data() + kTagBlock, kTagBlock);
  const auto tag = state_->finish_mac(unit.data() + 1, size);
  if (!equal_secret(tag, unit.last(kMacSize))) return std::nullopt;
  state_->crypt(unit.data() + 1, size);
  state_->advance(tag);
  return unit.subspan(1, size);
}

}  // namespace hg::crypto
