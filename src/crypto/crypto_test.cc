#include "crypto/crypto.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include "crypto/secretstream.h"
#include "support/vectors.h"

namespace hg::crypto {
namespace {

using test::hex_array;
using test::hex_bytes;

class Crypto : public ::testing::Test {
 protected:
  void SetUp() override { init(); }
};

TEST_F(Crypto, KeyPairsFromSeeds) {
  const auto vectors = test::load_vectors("crypto");
  for (const auto& v : vectors.at("keypairs").as_array()) {
    const KeyPair pair = key_pair_from_seed(hex_array<32>(v.at("seed")));
    EXPECT_EQ(pair.public_key, hex_array<32>(v.at("publicKey")));
    EXPECT_EQ(pair.secret_key, hex_array<64>(v.at("secretKey")));
    EXPECT_EQ(blake2b_256({pair.public_key}), hex_array<32>(v.at("peerTarget_hash_of_publicKey")));
  }
}

TEST_F(Crypto, DiffieHellmanOnEd25519) {
  const auto vectors = test::load_vectors("crypto");
  const auto& dh = vectors.at("ed25519_dh");
  for (const auto& v : dh.is_array() ? dh.as_array() : boost::json::array{dh}) {
    const auto out = ed25519_dh(hex_array<64>(v.at("localSecretKey")), hex_array<32>(v.at("remotePublicKey")));
    ASSERT_TRUE(out.has_value());
    EXPECT_EQ(*out, hex_array<32>(v.at("output")));
  }
  EXPECT_FALSE(ed25519_dh(key_pair_from_seed(Seed{}).secret_key, PublicKey{}).has_value());
}

TEST_F(Crypto, HmacAndHkdf) {
  const auto vectors = test::load_vectors("hkdf");
  const auto& hmac = vectors.at("hmac");
  for (const auto& v : hmac.is_array() ? hmac.as_array() : boost::json::array{hmac})
    EXPECT_EQ(hmac_blake2b_512(hex_bytes(v.at("key")), {hex_bytes(v.at("msg"))}), hex_array<64>(v.at("out")));
  for (const auto& v : vectors.at("hkdf").as_array()) {
    const HkdfPair out = hkdf_blake2b_512(hex_array<64>(v.at("salt")), hex_bytes(v.at("ikm")));
    EXPECT_EQ(out.first, hex_array<64>(v.at("out1")));
    EXPECT_EQ(out.second, hex_array<64>(v.at("out2")));
  }
}

TEST_F(Crypto, SecretStreamEqualsLibsodiumForEverySizeAndRekey) {
  ByteArray<32> key;
  randombytes_buf(key.data(), key.size());
  crypto_secretstream_xchacha20poly1305_state reference;
  ByteArray<24> header;
  crypto_secretstream_xchacha20poly1305_init_push(&reference, header.data(), key.data());
  SecretStreamCipher ours(key, header);
  SecretStreamCipher reader(key, header);

  std::array<uint8_t, 300> random;  // where an empty vector would have no bytes to point to
  for (size_t size = 0; size < random.size(); ++size) {
    randombytes_buf(random.data(), size);
    const Bytes plain(random.begin(), random.begin() + size);
    Bytes expected(size + 17);
    crypto_secretstream_xchacha20poly1305_push(&reference, expected.data(), nullptr, random.data(), size, nullptr, 0, 0);
    Bytes unit(size + 17);
    std::copy(plain.begin(), plain.end(), unit.begin() + 1);
    ours.seal(unit);
    ASSERT_EQ(unit, expected) << "size " << size;
    const auto opened = reader.open(unit);
    ASSERT_TRUE(opened.has_value());
    EXPECT_TRUE(equal_bytes(*opened, plain));
  }
}

TEST_F(Crypto, SecretStreamRefusesForgeriesAndKeepsItsState) {
  const ByteArray<32> key{7};
  const ByteArray<24> header{9};
  SecretStreamCipher writer(key, header);
  SecretStreamCipher reader(key, header);
  Bytes unit(1000 + 17, 0x5a);
  writer.seal(unit);
  for (size_t at : {size_t{0}, size_t{1}, size_t{500}, unit.size() - 1}) {
    Bytes forged = unit;
    forged[at] ^= 1;
    EXPECT_FALSE(reader.open(forged).has_value());
  }
  Bytes short_unit(16);
  EXPECT_FALSE(reader.open(short_unit).has_value());
  EXPECT_TRUE(reader.open(unit).has_value());
}

TEST_F(Crypto, SecretStreamVectors) {
  const auto vectors = test::load_vectors("secret-stream");
  for (const char* side : {"client", "server"}) {
    const auto& v = vectors.at(side);
    SecretStreamCipher cipher(hex_array<32>(v.at("tx_key")), hex_array<24>(v.at("secretstream_header")));
    const auto& plains = v.at("plaintexts").as_array();
    const auto& frames = v.at("frames").as_array();
    ASSERT_EQ(plains.size(), frames.size());
    for (size_t i = 0; i < plains.size(); ++i) {
      const Bytes plain = hex_bytes(plains[i]);
      const Bytes frame = hex_bytes(frames[i]);
      Bytes unit(plain.size() + 17);
      std::copy(plain.begin(), plain.end(), unit.begin() + 1);
      cipher.seal(unit);
      EXPECT_TRUE(equal_bytes(unit, ByteView(frame).subspan(3))) << side << " message " << i;
    }
  }
}

}  // namespace
}  // namespace hg::crypto
