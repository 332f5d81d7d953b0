#include "noise/unordered.h"

namespace hg::noise {
namespace {

ByteArray<24> nonce_of(ByteView counter) {
  ByteArray<24> nonce{};
  std::copy(counter.begin(), counter.end(), nonce.begin());
  return nonce;
}

}  // namespace

UnorderedBox::UnorderedBox(const Hash64& handshake_hash, bool is_initiator, const ByteArray<kCounter>& counter)
    : encrypt_key_(unordered_key(handshake_hash, is_initiator)),
      decrypt_key_(unordered_key(handshake_hash, !is_initiator)),
      counter_(counter) {}

UnorderedBox::~UnorderedBox() {
  crypto::wipe(encrypt_key_);
  crypto::wipe(decrypt_key_);
}

Bytes UnorderedBox::seal(ByteView message) {
  for (uint8_t& byte : counter_)
    if (++byte != 0) break;
  Bytes envelope(kOverhead + message.size());
  std::copy(counter_.begin(), counter_.end(), envelope.begin());
  crypto::secretbox_seal(MutableBytes(envelope).subspan(kCounter), message, nonce_of(counter_), encrypt_key_);
  return envelope;
}

std::optional<Bytes> UnorderedBox::open(ByteView envelope) const {
  if (envelope.size() < kOverhead) return std::nullopt;
  Bytes plain(envelope.size() - kOverhead);
  if (!crypto::secretbox_open(plain, envelope.subspan(kCounter), nonce_of(envelope.first(kCounter)), decrypt_key_)) return std::nullopt;
  return plain;
}

}  // namespace hg::noise
