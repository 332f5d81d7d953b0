#include "dht/tokens.h"

#include "crypto/crypto.h"

namespace hg::dht {

Hash32 Tokens::make(uint32_t host, const Hash32& secret) { return crypto::blake2b_256({as_bytes(format_ipv4(host))}, secret); }

bool Tokens::accepts(uint32_t host, const Hash32& token) const {
  return crypto::equal_secret(token, make(host, s1_)) || crypto::equal_secret(token, make(host, s0_));
}

void Tokens::rotate() {
  const Hash32 next = crypto::blake2b_256({s0_});
  s0_ = s1_;
  s1_ = next;
}

}  // namespace hg::dht
