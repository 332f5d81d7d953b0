#include "tunnel/hello.h"

#include <gtest/gtest.h>

#include "crypto/crypto.h"

namespace hg::tunnel {
namespace {

constexpr int64_t kNow = 1'700'000'000'000;

RouterKeys router_with(uint8_t fill) {
  crypto::init();
  Seed seed;
  seed.fill(fill);
  return derive_router_keys(seed);
}

class HelloTest : public ::testing::Test {
 protected:
  HelloTest() { sender_.fill(1), receiver_.fill(2); }
  HelloVerdict verify(ByteView auth, int64_t now = kNow) { return verifier_.verify(auth, sender_, receiver_, now); }
  AuthBlob auth_at(int64_t ms) const { return make_auth(router_, sender_, receiver_, ms); }

  RouterKeys router_ = router_with(7);
  HelloVerifier verifier_{router_, 15min};
  PublicKey sender_;
  PublicKey receiver_;
};

TEST_F(HelloTest, AcceptsOnceAndRefusesTheSameBlobAgain) {
  EXPECT_EQ(HelloVerdict::kAccepted, verify(auth_at(kNow)));
  EXPECT_EQ(HelloVerdict::kReplayed, verify(auth_at(kNow)));
  EXPECT_EQ(HelloVerdict::kReplayed, verify(auth_at(kNow), kNow + 600'000));
  EXPECT_EQ(HelloVerdict::kAccepted, verify(auth_at(kNow + 1)));
}

TEST_F(HelloTest, BoundsTheClocksInBothDirections) {
  constexpr int64_t kLimit = 15 * 60 * 1000;
  EXPECT_EQ(HelloVerdict::kAccepted, verify(auth_at(kNow - kLimit)));
  EXPECT_EQ(HelloVerdict::kAccepted, verify(auth_at(kNow + kLimit)));
  EXPECT_EQ(HelloVerdict::kStale, verify(auth_at(kNow - kLimit - 1)));
  EXPECT_EQ(HelloVerdict::kStale, verify(auth_at(kNow + kLimit + 1)));
  EXPECT_EQ(kLimit + 1, verifier_.last_skew_ms());
  for (const int64_t odd : {int64_t{0}, int64_t{-1}, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()})
    EXPECT_EQ(HelloVerdict::kStale, verify(auth_at(odd)));
}

TEST_F(HelloTest, RefusesAnotherSecretOtherKeysAndAnyChangedByte) {
  EXPECT_EQ(HelloVerdict::kForged, verify(make_auth(router_with(8), sender_, receiver_, kNow)));
  EXPECT_EQ(HelloVerdict::kForged, verify(make_auth(router_, receiver_, sender_, kNow)));
  const AuthBlob good = auth_at(kNow);
  for (size_t i = 0; i < good.size(); ++i) {
    AuthBlob bad = good;
    bad[i] ^= 1;
    EXPECT_NE(HelloVerdict::kAccepted, verify(bad)) << i;
  }
  EXPECT_EQ(HelloVerdict::kMalformed, verify(ByteView(good).first(72)));
  EXPECT_EQ(HelloVerdict::kMalformed, verify({}));
}

}  // namespace
}  // namespace hg::tunnel
