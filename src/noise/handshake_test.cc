#include "noise/handshake.h"

#include <gtest/gtest.h>

#include "support/vectors.h"

namespace hg::noise {
namespace {

using test::hex_array;
using test::hex_bytes;

/// Hands out one fixed seed, so that the ephemeral key is the vectors'.
class FixedRng final : public Rng {
 public:
  explicit FixedRng(const Seed& seed) : seed_(seed) {}
  void fill(MutableBytes out) override {
    ASSERT_EQ(out.size(), seed_.size());
    std::copy(seed_.begin(), seed_.end(), out.begin());
  }

 private:
  Seed seed_;
};

class Ik : public ::testing::Test {
 protected:
  void SetUp() override { crypto::init(); }

  KeyPair pair(const char* name) { return crypto::key_pair_from_seed(seed(name)); }
  Seed seed(const char* name) { return hex_array<32>(v_.at("seeds").at(name)); }
  Bytes prologue() { return hex_bytes(v_.at("prologue")); }
  IkHandshake client(const char* ephemeral = "clientEphemeral") {
    FixedRng rng(seed(ephemeral));
    return IkHandshake::initiator(pair("clientStatic"), pair("serverStatic").public_key, prologue(), rng);
  }
  IkHandshake server(const char* fixed = "serverStatic") {
    FixedRng rng(seed("serverEphemeral"));
    return IkHandshake::responder(pair(fixed), prologue(), rng);
  }

  const boost::json::value v_ = test::load_vectors("noise-ik-hyperdht");
};

TEST_F(Ik, EveryIntermediateValueOfTheReference) {
  EXPECT_EQ(dht_namespace(0), hex_array<32>(v_.at("prologue")));
  IkHandshake a = client();
  IkHandshake b = server();
  EXPECT_EQ(a.state().hash(), hex_array<64>(v_.at("initial_digest")));
  EXPECT_EQ(b.state().hash(), hex_array<64>(v_.at("initial_digest")));
  EXPECT_EQ(a.state().chaining_key(), hex_array<64>(v_.at("initial_chainingKey")));

  const auto message1 = a.write_message(hex_bytes(v_.at("payload1_plain")));
  ASSERT_TRUE(message1);
  EXPECT_EQ(*message1, hex_bytes(v_.at("message1")));
  const auto payload1 = b.read_message(*message1);
  ASSERT_TRUE(payload1);
  EXPECT_EQ(*payload1, hex_bytes(v_.at("payload1_plain")));
  EXPECT_EQ(b.remote_key(), pair("clientStatic").public_key);
  for (const IkHandshake* side : {&a, &b}) {
    EXPECT_EQ(side->state().hash(), hex_array<64>(v_.at("after_message1").at("digest")));
    EXPECT_EQ(side->state().chaining_key(), hex_array<64>(v_.at("after_message1").at("chainingKey")));
    EXPECT_EQ(side->session().error().code, "HANDSHAKE_UNFINISHED");
  }

  const auto message2 = b.write_message(hex_bytes(v_.at("payload2_plain")));
  ASSERT_TRUE(message2);
  EXPECT_EQ(*message2, hex_bytes(v_.at("message2")));
  const auto payload2 = a.read_message(*message2);
  ASSERT_TRUE(payload2);
  EXPECT_EQ(*payload2, hex_bytes(v_.at("payload2_plain")));

  const auto client_keys = a.session();
  const auto server_keys = b.session();
  ASSERT_TRUE(client_keys);
  ASSERT_TRUE(server_keys);
  EXPECT_EQ(client_keys->handshake_hash, hex_array<64>(v_.at("handshake_hash")));
  EXPECT_EQ(server_keys->handshake_hash, hex_array<64>(v_.at("handshake_hash")));
  EXPECT_EQ(client_keys->tx, hex_array<32>(v_.at("client").at("tx")));
  EXPECT_EQ(client_keys->rx, hex_array<32>(v_.at("client").at("rx")));
  EXPECT_EQ(server_keys->tx, hex_array<32>(v_.at("server").at("tx")));
  EXPECT_EQ(server_keys->rx, hex_array<32>(v_.at("server").at("rx")));
  EXPECT_EQ(server_keys->remote_key, pair("clientStatic").public_key);
  EXPECT_EQ(client_keys->local_key, pair("clientStatic").public_key);
  EXPECT_TRUE(client_keys->is_initiator);
  EXPECT_FALSE(server_keys->is_initiator);
  EXPECT_EQ(holepunch_secret(client_keys->handshake_hash), hex_array<32>(v_.at("holepunchSecret")));
  EXPECT_EQ(stream_id(client_keys->handshake_hash, true), hex_array<32>(v_.at("streamId_initiator")));
  EXPECT_EQ(stream_id(client_keys->handshake_hash, false), hex_array<32>(v_.at("streamId_responder")));
}

TEST_F(Ik, EveryFlippedByteOfMessage1IsRefused) {
  const Bytes good = hex_bytes(v_.at("message1"));
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= 1;
    IkHandshake b = server();
    EXPECT_FALSE(b.read_message(bad)) << i;
    EXPECT_FALSE(b.read_message(good)) << "a failed handshake stays failed";
  }
}

TEST_F(Ik, EveryTruncationIsRefused) {
  const Bytes one = hex_bytes(v_.at("message1"));
  for (size_t n = 0; n < one.size(); ++n) EXPECT_FALSE(server().read_message(ByteView(one).first(n))) << n;
  const Bytes two = hex_bytes(v_.at("message2"));
  for (size_t n = 0; n < two.size(); ++n) {
    IkHandshake a = client();
    ASSERT_TRUE(a.write_message(hex_bytes(v_.at("payload1_plain"))));
    EXPECT_FALSE(a.read_message(ByteView(two).first(n))) << n;
  }
}

TEST_F(Ik, AnotherServerCannotReadMessage1) { EXPECT_FALSE(server("clientStatic").read_message(hex_bytes(v_.at("message1")))); }

TEST_F(Ik, TurnsAreKept) {
  EXPECT_FALSE(client().read_message(hex_bytes(v_.at("message2"))));
  EXPECT_FALSE(server().write_message({}));
  IkHandshake b = server();
  ASSERT_TRUE(b.read_message(hex_bytes(v_.at("message1"))));
  EXPECT_FALSE(b.read_message(hex_bytes(v_.at("message1"))));
}

TEST_F(Ik, AKeyThatIsNoPointIsRefused) {
  FixedRng rng(seed("clientEphemeral"));
  IkHandshake a = IkHandshake::initiator(pair("clientStatic"), PublicKey{}, prologue(), rng);
  EXPECT_FALSE(a.write_message({}));
}

}  // namespace
}  // namespace hg::noise
