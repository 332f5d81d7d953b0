#include "tunnel/hello.h"

#include <fmt/format.h>

#include <algorithm>

#include "crypto/crypto.h"

namespace hg::tunnel {

namespace {

constexpr uint8_t kAuthTag = 0x15;
constexpr size_t kStampBytes = 9;

Hash64 auth_mac(const RouterKeys& router, const PublicKey& sender, const PublicKey& receiver, ByteView stamp) {
  return crypto::blake2b_512({sender, receiver, router.keys.public_key, stamp}, router.auth_key);
}

int64_t load_i64_be(ByteView bytes) {
  uint64_t value = 0;
  for (const uint8_t b : bytes.first(8)) value = value << 8 | b;
  return static_cast<int64_t>(value);
}

}  // namespace

std::string format_router_secret(const Seed& secret) { return to_hex(secret); }

RouterKeys derive_router_keys(const Seed& secret) {
  RouterKeys router;
  router.keys = crypto::key_pair_from_seed(secret);
  ByteArray<16> salt;
  crypto::blake2b(salt, {router.keys.secret_key});
  router.auth_key = crypto::argon2id_interactive(router.keys.secret_key, salt);
  return router;
}

AuthBlob make_auth(const RouterKeys& router, const PublicKey& sender, const PublicKey& receiver, int64_t unix_ms) {
  AuthBlob auth;
  auth[0] = kAuthTag;
  for (size_t i = 0; i < 8; ++i) auth[1 + i] = static_cast<uint8_t>(static_cast<uint64_t>(unix_ms) >> (56 - 8 * i));
  const Hash64 mac = auth_mac(router, sender, receiver, ByteView(auth).first(kStampBytes));
  std::copy(mac.begin(), mac.end(), auth.begin() + kStampBytes);
  return auth;
}

HelloVerdict HelloVerifier::verify(ByteView auth, const PublicKey& sender, const PublicKey& receiver, int64_t now_ms) {
  if (auth.size() != kAuthBytes || auth[0] != kAuthTag) return HelloVerdict::kMalformed;
  const Hash64 mac = auth_mac(router_, sender, receiver, auth.first(kStampBytes));
  if (!crypto::equal_secret(mac, auth.subspan(kStampBytes))) return HelloVerdict::kForged;

  const int64_t stamp = load_i64_be(auth.subspan(1));
  // The stamp is a peer's choice of 64 bits: compare without overflowing.
  last_skew_ms_ = stamp <= 0 ? -now_ms : stamp - now_ms;
  if (stamp <= 0 || stamp < now_ms - max_skew_ms_ || stamp > now_ms + max_skew_ms_) return HelloVerdict::kStale;
  while (!order_.empty() && (order_.front().forget_at_ms < now_ms || order_.size() >= kRemembered)) {
    seen_.erase(order_.front().mac);
    order_.pop_front();
  }
  Hash32 key;
  std::copy_n(mac.begin(), key.size(), key.begin());
  if (!seen_.insert(key).second) return HelloVerdict::kReplayed;
  order_.push_back({now_ms + 2 * max_skew_ms_, key});
  return HelloVerdict::kAccepted;
}

}  // namespace hg::tunnel
