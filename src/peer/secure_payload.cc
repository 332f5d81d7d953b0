#include "peer/secure_payload.h"

#include "crypto/crypto.h"

namespace hg::peer {

SecurePayload::SecurePayload(const Hash32& holepunch_secret, Rng& rng)
    : rng_(rng), shared_secret_(holepunch_secret), local_secret_(rng.array<32>()) {}

SecurePayload::~SecurePayload() {
  crypto::wipe(shared_secret_);
  crypto::wipe(local_secret_);
}

Bytes SecurePayload::seal(const wire::HolepunchPayload& payload) {
  const Bytes plain = wire::encode(payload);
  const auto nonce = rng_.array<kNonce>();
  Bytes out(kNonce + plain.size() + kMac);
  std::copy(nonce.begin(), nonce.end(), out.begin());
  crypto::secretbox_seal(MutableBytes(out).subspan(kNonce), plain, nonce, shared_secret_);
  return out;
}

std::optional<wire::HolepunchPayload> SecurePayload::open(ByteView envelope) const {
  if (envelope.size() <= kNonce + kMac) return std::nullopt;
  ByteArray<kNonce> nonce;
  std::copy_n(envelope.begin(), kNonce, nonce.begin());
  Bytes plain(envelope.size() - kNonce - kMac);
  if (!crypto::secretbox_open(plain, envelope.subspan(kNonce), nonce, shared_secret_)) return std::nullopt;
  return wire::decode_holepunch_payload(plain);
}

Hash32 SecurePayload::token(const Endpoint& address) const { return crypto::blake2b_256({as_bytes(address.host())}, local_secret_); }

}  // namespace hg::peer
