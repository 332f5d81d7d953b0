#include "crypto/openssl_enc.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <memory>

namespace hg::crypto {

namespace {

constexpr std::string_view kMagic = "Salted__";
constexpr size_t kSaltBytes = 8;
constexpr size_t kKeyBytes = 32;
constexpr size_t kBlockBytes = 16;
constexpr int kRounds = 10000;

struct Keys {
  ByteArray<kKeyBytes + kBlockBytes> bytes{};
  ~Keys() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
  const uint8_t* key() const { return bytes.data(); }
  const uint8_t* iv() const { return bytes.data() + kKeyBytes; }
};

void derive(Keys& keys, std::string_view password, ByteView salt) {
  const int done = PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), salt.data(), static_cast<int>(salt.size()),
                                     kRounds, EVP_sha256(), static_cast<int>(keys.bytes.size()), keys.bytes.data());
  if (done != 1) std::abort();  // only without memory
}

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;
Context make_context() { return {EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free}; }

}  // namespace

std::optional<Bytes> openssl_enc_open(ByteView sealed, std::string_view password) {
  constexpr size_t kHead = kMagic.size() + kSaltBytes;
  if (sealed.size() < kHead + kBlockBytes || (sealed.size() - kHead) % kBlockBytes != 0 || sealed.size() > INT_MAX) return std::nullopt;
  if (!std::equal(kMagic.begin(), kMagic.end(), sealed.begin())) return std::nullopt;
  Keys keys;
  derive(keys, password, sealed.subspan(kMagic.size(), kSaltBytes));
  const ByteView cipher = sealed.subspan(kHead);
  Bytes plain(cipher.size() + kBlockBytes);
  int written = 0;
  int last = 0;
  const Context context = make_context();
  if (EVP_DecryptInit_ex(context.get(), EVP_aes_256_cbc(), nullptr, keys.key(), keys.iv()) != 1 ||
      EVP_DecryptUpdate(context.get(), plain.data(), &written, cipher.data(), static_cast<int>(cipher.size())) != 1 ||
      EVP_DecryptFinal_ex(context.get(), plain.data() + written, &last) != 1)
    return std::nullopt;
  plain.resize(static_cast<size_t>(written + last));
  return plain;
}

Bytes openssl_enc_seal(ByteView plain, std::string_view password, const ByteArray<8>& salt) {
  Keys keys;
  derive(keys, password, salt);
  constexpr size_t kHead = kMagic.size() + kSaltBytes;
  Bytes sealed(kHead + plain.size() + kBlockBytes);
  std::copy(kMagic.begin(), kMagic.end(), sealed.begin());
  std::copy(salt.begin(), salt.end(), sealed.begin() + kMagic.size());
  int written = 0;
  int last = 0;
  const Context context = make_context();
  if (EVP_EncryptInit_ex(context.get(), EVP_aes_256_cbc(), nullptr, keys.key(), keys.iv()) != 1 ||
      EVP_EncryptUpdate(context.get(), sealed.data() + kHead, &written, plain.data(), static_cast<int>(plain.size())) != 1 ||
      EVP_EncryptFinal_ex(context.get(), sealed.data() + kHead + written, &last) != 1)
    std::abort();  // only without memory
  sealed.resize(kHead + static_cast<size_t>(written + last));
  return sealed;
}

}  // namespace hg::crypto
