// libsodium's secretstream_xchacha20poly1305 construction, byte for byte, tag MESSAGE only, no
// associated data, run on OpenSSL's ChaCha20 and Poly1305 (two to three times libsodium's rate).
// Works in place: cipher = tag byte ‖ body ‖ 16-byte MAC, kOverhead = 17 more than the plain text.
#pragma once

#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/rng.h"

namespace hg::crypto {

class SecretStreamCipher {
 public:
  static constexpr size_t kHeaderSize = 24;
  static constexpr size_t kOverhead = 17;
  static constexpr size_t kKeySize = 32;

  /// Derives the state from key and header, the same for sender and receiver.
  SecretStreamCipher(ByteView key32, const ByteArray<kHeaderSize>& header);
  ~SecretStreamCipher();
  SecretStreamCipher(SecretStreamCipher&&) noexcept;
  SecretStreamCipher& operator=(SecretStreamCipher&&) noexcept;

  /// Encrypts `unit` in place: on entry bytes [1, size-16) hold the plain text, on return all of it is the cipher unit.
  void seal(MutableBytes unit);
  /// Decrypts `unit` in place and returns the plain text's view inside it; nullopt (state unchanged, unit unspecified) on a forgery or
  /// fewer than 17 bytes.
  std::optional<MutableBytes> open(MutableBytes unit);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hg::crypto
