// The envelope of unordered messages (UDX MESSAGE packets) beside an encrypted stream:
//
//   counter 8 bytes ‖ XSalsa20-Poly1305(nonce = counter ‖ 16 zero bytes)
//
// The counter starts random and is incremented (little-endian) before each use; the receiver takes any.
// Loss and replay are the user's to bear, as with UDP. Owned by the connection. Source:
// @hyperswarm/secret-stream 6.9.
#pragma once

#include <optional>

#include "noise/keys.h"

namespace hg::noise {

class UnorderedBox {
 public:
  static constexpr size_t kCounter = 8;
  static constexpr size_t kOverhead = kCounter + 16;

  UnorderedBox(const Hash64& handshake_hash, bool is_initiator, const ByteArray<kCounter>& counter);
  ~UnorderedBox();
  UnorderedBox(const UnorderedBox&) = delete;
  UnorderedBox& operator=(const UnorderedBox&) = delete;

  /// The envelope, kOverhead bytes longer than the message.
  Bytes seal(ByteView message);
  /// nullopt when too short or forged.
  std::optional<Bytes> open(ByteView envelope) const;

 private:
  Hash32 encrypt_key_;
  Hash32 decrypt_key_;
  ByteArray<kCounter> counter_;
};

}  // namespace hg::noise
