#include "crypto/openssl_enc.h"

#include <gtest/gtest.h>

namespace hg::crypto {
namespace {

// printf 'hello tunnel' | openssl enc -aes-256-cbc -pbkdf2 -iter 10000 -md sha256 -pass pass:shared-secret -S 0102030405060708, with its
// header.
TEST(OpensslEnc, OpensWhatTheToolWrote) {
  const ByteArray<8> salt{1, 2, 3, 4, 5, 6, 7, 8};
  const Bytes sealed = openssl_enc_seal(as_bytes("hello tunnel"), "shared-secret", salt);
  EXPECT_EQ("53616c7465645f5f0102030405060708b5ef54c332aa60ebcac2f58eccf00257", to_hex(sealed));
  const auto plain = openssl_enc_open(sealed, "shared-secret");
  ASSERT_TRUE(plain);
  EXPECT_EQ("hello tunnel", as_text(*plain));
}

TEST(OpensslEnc, RefusesEverythingElse) {
  const Bytes sealed = openssl_enc_seal(as_bytes(R"({"timestamp":1,"ip":"192.0.2.1"})"), "s", {9, 9, 9, 9, 9, 9, 9, 9});
  EXPECT_FALSE(openssl_enc_open(sealed, "t"));
  EXPECT_FALSE(openssl_enc_open({}, "s"));
  for (size_t cut = 1; cut < sealed.size(); ++cut) {
    if (cut % 16 == 0) continue;  // a whole number of blocks: the padding decides, below
    EXPECT_FALSE(openssl_enc_open(ByteView(sealed).first(cut), "s"));
  }
  EXPECT_FALSE(openssl_enc_open(ByteView(sealed).first(32), "s"));
  Bytes other = sealed;
  other[0] ^= 1;
  EXPECT_FALSE(openssl_enc_open(other, "s"));
}

}  // namespace
}  // namespace hg::crypto
