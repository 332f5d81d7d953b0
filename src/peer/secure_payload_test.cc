#include "peer/secure_payload.h"

#include <gtest/gtest.h>

#include "support/vectors.h"

namespace hg::peer {
namespace {

using test::hex_array;
using test::hex_bytes;

/// Hands out the vectors' local secret, then their nonce.
class ScriptedRng final : public Rng {
 public:
  explicit ScriptedRng(const boost::json::value& v)
      : local_(hex_bytes(v.at("address_token").at("localSecret"))), nonce_(hex_bytes(v.at("nonce"))) {}
  void fill(MutableBytes out) override {
    const Bytes& from = out.size() == nonce_.size() ? nonce_ : local_;
    ASSERT_EQ(out.size(), from.size());
    std::copy(from.begin(), from.end(), out.begin());
  }

 private:
  Bytes local_, nonce_;
};

class Payload : public ::testing::Test {
 protected:
  void SetUp() override { crypto::init(); }
  const boost::json::value v_ = test::load_vectors("holepunch-secure-payload");
  ScriptedRng rng_{v_};
  SecurePayload ours_{hex_array<32>(v_.at("key")), rng_};
};

TEST_F(Payload, SealsAndOpensTheReferencesBytes) {
  const auto plain = wire::decode_holepunch_payload(hex_bytes(v_.at("plain")));
  ASSERT_TRUE(plain);
  EXPECT_EQ(ours_.seal(*plain), hex_bytes(v_.at("envelope")));
  EXPECT_EQ(ours_.open(hex_bytes(v_.at("envelope"))), plain);
}

TEST_F(Payload, ForgeriesAndTruncationsAreRefused) {
  const Bytes good = hex_bytes(v_.at("envelope"));
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= 1;
    EXPECT_FALSE(ours_.open(bad)) << i;
    EXPECT_FALSE(ours_.open(ByteView(good).first(i))) << i;
  }
}

TEST_F(Payload, AddressTokenEqualsTheReference) {
  const auto& t = v_.at("address_token");
  const Endpoint address{parse_ipv4(t.at("host").as_string()).value(), 4242};
  EXPECT_EQ(ours_.token(address), hex_array<32>(t.at("token")));
}

}  // namespace
}  // namespace hg::peer
