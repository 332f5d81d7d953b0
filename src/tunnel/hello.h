// Who may speak: the router's keys and the hello that proves their possession.
//
//   auth = 0x15 ‖ unix ms i64 BE ‖ BLAKE2b-512(key = K, sender pk ‖ receiver pk ‖ router pk ‖ the 9 bytes before)
//   K    = Argon2id13(64 bytes, password = router secret key, salt = BLAKE2b-128(router secret key), INTERACTIVE)
//
// K depends on the secret alone and is derived once (tens of ms, 64 MiB: do it off the loop).
// Times are unix milliseconds.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/bytes.h"
#include "base/expected.h"
#include "base/ids.h"
#include "base/time.h"

namespace hg::tunnel {

/// The secret as text (`--new`).
std::string format_router_secret(const Seed& secret);

struct RouterKeys {
  KeyPair keys;       // the public key is the router's name and the swarm topic
  Hash64 auth_key{};  // K
};
/// Blocking (Argon2id).
RouterKeys derive_router_keys(const Seed& secret);

inline constexpr size_t kAuthBytes = 73;
using AuthBlob = ByteArray<kAuthBytes>;
AuthBlob make_auth(const RouterKeys& router, const PublicKey& sender, const PublicKey& receiver, int64_t unix_ms);

enum class HelloVerdict {
  kAccepted,
  kMalformed,  // length or first byte
  kForged,     // the MAC does not fit: another router's secret
  kStale,      // genuine, and the clocks differ by more than the limit, in either direction
  kReplayed,   // genuine, and seen before
};

/// Verifies hellos and remembers the accepted ones for as long as they could be replayed (at most kRemembered).
class HelloVerifier {
 public:
  static constexpr size_t kRemembered = 65536;

  HelloVerifier(const RouterKeys& router, Duration max_skew) : router_(router), max_skew_ms_(to_ms(max_skew)) {}

  HelloVerdict verify(ByteView auth, const PublicKey& sender, const PublicKey& receiver, int64_t now_ms);
  /// Sender's clock minus ours at the last verdict beyond kForged; a hello's time on the way counts against the sender.
  int64_t last_skew_ms() const { return last_skew_ms_; }

 private:
  struct Seen {
    int64_t forget_at_ms;
    Hash32 mac;
  };

  const RouterKeys& router_;
  int64_t max_skew_ms_;
  int64_t last_skew_ms_ = 0;
  std::unordered_set<Hash32, ArrayHash> seen_;
  std::deque<Seen> order_;
};

}  // namespace hg::tunnel
