// Hole-punch payloads as they travel through relays: nonce 24 ‖ XSalsa20-Poly1305 box, keyed by the
// handshake both ends have just finished; and the tokens by which one end proves that it receives what
// is sent to an address. One per handshake, owned by its slot or attempt. Source: hyperdht 6.34 lib/secure-payload.
#pragma once

#include <optional>

#include "base/rng.h"
#include "noise/keys.h"
#include "wire/hyperdht.h"

namespace hg::peer {

class SecurePayload {
 public:
  static constexpr size_t kNonce = 24;
  static constexpr size_t kMac = 16;

  /// The local secret (of the tokens) comes from `rng`.
  SecurePayload(const Hash32& holepunch_secret, Rng& rng);
  ~SecurePayload();
  SecurePayload(const SecurePayload&) = delete;
  SecurePayload& operator=(const SecurePayload&) = delete;

  Bytes seal(const wire::HolepunchPayload& payload);
  /// nullopt: too short, forged or undecodable.
  std::optional<wire::HolepunchPayload> open(ByteView envelope) const;
  /// BLAKE2b-256 of the dotted host, keyed by the local secret.
  Hash32 token(const Endpoint& address) const;

 private:
  Rng& rng_;
  Hash32 shared_secret_;
  Hash32 local_secret_;
};

}  // namespace hg::peer
