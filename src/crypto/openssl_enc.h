// What `openssl enc -aes-256-cbc -pbkdf2 -iter 10000 -md sha256 -salt` writes:
//
//   "Salted__" ‖ salt (8) ‖ AES-256-CBC with PKCS#7 padding; key (32) ‖ iv (16) = PBKDF2-HMAC-SHA256(password, salt, 10,000 rounds)
//
// There is no authentication in this format: a wrong password shows as bad padding or, once in 256 times, as noise.
#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace hg::crypto {

/// Blocking, milliseconds. nullopt: not of this form, or not made with this password.
std::optional<Bytes> openssl_enc_open(ByteView sealed, std::string_view password);
/// The same made here, for tests and tools.
Bytes openssl_enc_seal(ByteView plain, std::string_view password, const ByteArray<8>& salt);

}  // namespace hg::crypto
