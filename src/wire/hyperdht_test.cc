#include "wire/hyperdht.h"

#include <gtest/gtest.h>

#include "support/vectors.h"

namespace hg::wire {
namespace {

using boost::json::value;
using test::hex_array;
using test::hex_bytes;

Endpoint endpoint_of(const value& v) {
  return {parse_ipv4(std::string(v.at("host").as_string())).value(), v.at("port").to_number<uint16_t>()};
}
std::optional<Endpoint> maybe_endpoint(const value& v) {
  if (v.is_null()) return std::nullopt;
  return endpoint_of(v);
}
std::vector<Endpoint> endpoints_of(const value& v) {
  std::vector<Endpoint> out;
  for (const value& item : v.as_array()) out.push_back(endpoint_of(item));
  return out;
}
std::optional<std::vector<Endpoint>> maybe_endpoints(const value& v) {
  if (v.is_null()) return std::nullopt;
  return endpoints_of(v);
}
std::optional<Hash32> maybe_hash(const value& v) {
  if (v.is_null()) return std::nullopt;
  return hex_array<32>(v);
}
uint64_t number(const value& v) { return v.to_number<uint64_t>(); }
Peer peer_of(const value& v) { return {hex_array<32>(v.at("publicKey")), endpoints_of(v.at("relayAddresses"))}; }

NoisePayload noise_of(const value& v) {
  NoisePayload m;
  m.version = number(v.at("version"));
  m.error = number(v.at("error"));
  m.firewall = number(v.at("firewall"));
  if (const value& h = v.at("holepunch"); !h.is_null()) {
    m.holepunch.emplace();
    m.holepunch->id = number(h.at("id"));
    for (const value& r : h.at("relays").as_array())
      m.holepunch->relays.push_back({endpoint_of(r.at("relayAddress")), endpoint_of(r.at("peerAddress"))});
  }
  m.addresses4 = endpoints_of(v.at("addresses4"));
  for (const value& a : v.at("addresses6").as_array()) {
    EXPECT_EQ(a.at("host").as_string(), "2001:db8::1");
    m.addresses6.push_back({{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, a.at("port").to_number<uint16_t>()});
  }
  if (const value& u = v.at("udx"); !u.is_null())
    m.udx = UdxInfo{1, u.at("reusableSocket").as_bool(), number(u.at("id")), number(u.at("seq"))};
  if (!v.at("secretStream").is_null()) m.secret_stream.emplace();
  if (const value& r = v.at("relayThrough"); !r.is_null())
    m.relay_through = RelayThrough{1, hex_array<32>(r.at("publicKey")), hex_array<32>(r.at("token"))};
  m.relay_addresses = maybe_endpoints(v.at("relayAddresses"));
  return m;
}

/// Every case of one encoding: the struct built from the JSON encodes to the reference's bytes, the bytes decode to the struct, and no
/// prefix decodes.
template <class Build, class Decode>
void check(const char* name, Build build, Decode decode_one, bool trailing_optional = false) {
  const value all = test::load_vectors("hyperdht-messages");
  const auto& list = all.at(name).as_array();
  ASSERT_FALSE(list.empty());
  for (const value& c : list) {
    SCOPED_TRACE(std::string(name) + " " + boost::json::serialize(c));
    const auto message = build(c.at("value"));
    EXPECT_EQ(to_hex(encode(message)), c.at("hex").as_string());
    Bytes wire = hex_bytes(c.at("hex"));
    const auto got = decode_one(wire);
    ASSERT_TRUE(got);
    EXPECT_TRUE(*got == message);
    for (size_t n = 0; n < wire.size() && !trailing_optional; ++n) EXPECT_FALSE(decode_one(ByteView(wire).first(n))) << n;
    wire.push_back(0);
    EXPECT_TRUE(decode_one(wire)) << "trailing bytes are ignored";
  }
}

TEST(HyperdhtVectors, Handshake) {
  check(
      "handshake",
      [](const value& v) {
        return Handshake{number(v.at("mode")), hex_bytes(v.at("noise")), maybe_endpoint(v.at("peerAddress")),
                         maybe_endpoint(v.at("relayAddress"))};
      },
      decode_handshake);
}
TEST(HyperdhtVectors, Holepunch) {
  check(
      "holepunch",
      [](const value& v) {
        return Holepunch{number(v.at("mode")), number(v.at("id")), hex_bytes(v.at("payload")), maybe_endpoint(v.at("peerAddress"))};
      },
      decode_holepunch);
}
TEST(HyperdhtVectors, NoisePayload) { check("noisePayload", noise_of, decode_noise_payload); }
TEST(Hyperdht, AMoveComesBehindAllThatTheReferenceReads) {
  NoisePayload plain;
  plain.udx = UdxInfo{.id = 7};
  plain.relay_addresses = {Endpoint::loopback(1)};
  NoisePayload moving = plain;
  moving.move = MoveInfo{Hash32{5}, 0xfffffffe};
  const Bytes wire = encode(moving);
  EXPECT_EQ(decode_noise_payload(wire), moving);
  const Bytes without = encode(plain);
  const size_t flags = 5 - 1;  // the longer form of the flags
  EXPECT_TRUE(std::equal(without.begin() + 2, without.end(), wire.begin() + 2 + flags));
  EXPECT_FALSE(decode_noise_payload(ByteView(wire).first(wire.size() - 1)));
  moving.move->pair_token = ByteArray<32>{9};
  const Bytes longer = encode(moving);
  EXPECT_EQ(decode_noise_payload(longer), moving);
  EXPECT_EQ(longer.size(), wire.size() + 32);
  EXPECT_FALSE(decode_noise_payload(ByteView(longer).first(longer.size() - 1)));
}
TEST(HyperdhtVectors, HolepunchPayload) {
  check(
      "holepunchPayload",
      [](const value& v) {
        return HolepunchPayload{number(v.at("error")),
                                number(v.at("firewall")),
                                number(v.at("round")),
                                v.at("connected").as_bool(),
                                v.at("punching").as_bool(),
                                maybe_endpoints(v.at("addresses")),
                                maybe_endpoint(v.at("remoteAddress")),
                                maybe_hash(v.at("token")),
                                maybe_hash(v.at("remoteToken"))};
      },
      decode_holepunch_payload);
}
TEST(HyperdhtVectors, Peer) { check("peer", peer_of, decode_peer); }
TEST(HyperdhtVectors, LookupReply) {
  check(
      "lookupRawReply",
      [](const value& v) {
        LookupReply m;
        std::vector<Bytes> raw;
        for (const value& p : v.at("peers").as_array()) {
          raw.push_back(hex_bytes(p));
          m.peers.push_back(decode_peer(raw.back()).value());
        }
        m.bump = number(v.at("bump"));
        EXPECT_EQ(encode_lookup_reply(raw, m.bump), encode(m));
        return m;
      },
      decode_lookup_reply, true);
}
TEST(HyperdhtVectors, Announce) {
  check(
      "announce",
      [](const value& v) {
        Announce m;
        if (!v.at("peer").is_null()) m.peer = peer_of(v.at("peer"));
        m.refresh = maybe_hash(v.at("refresh"));
        if (!v.at("signature").is_null()) m.signature = hex_array<64>(v.at("signature"));
        m.bump = number(v.at("bump"));
        return m;
      },
      decode_announce);
}
TEST(HyperdhtVectors, Mutable) {
  check(
      "mutableSignable",
      [](const value& v) {
        return MutableSignable{number(v.at("seq")), hex_bytes(v.at("value"))};
      },
      decode_mutable_signable);
  check(
      "mutablePutRequest",
      [](const value& v) {
        return MutablePut{hex_array<32>(v.at("publicKey")), number(v.at("seq")), hex_bytes(v.at("value")),
                          hex_array<64>(v.at("signature"))};
      },
      decode_mutable_put);
  check(
      "mutableGetResponse",
      [](const value& v) {
        return MutableRecord{number(v.at("seq")), hex_bytes(v.at("value")), hex_array<64>(v.at("signature"))};
      },
      decode_mutable_record);
}
TEST(HyperdhtVectors, Plugin) {
  check(
      "pluginRequest",
      [](const value& v) {
        return PluginRequest{std::string(v.at("plugin").as_string()), number(v.at("version")), number(v.at("command")),
                             hex_bytes(v.at("value"))};
      },
      decode_plugin_request);
}
TEST(HyperdhtVectors, DecodeCases) {
  const value all = test::load_vectors("hyperdht-messages");
  for (const value& c : all.at("decode_cases").as_array()) {
    const auto got = decode_noise_payload(hex_bytes(c.at("hex")));
    ASSERT_TRUE(got);
    EXPECT_TRUE(*got == noise_of(c.at("decoded")));
  }
}
TEST(HyperdhtVectors, NoEncodingIsForgotten) {
  const value all = test::load_vectors("hyperdht-messages");
  EXPECT_EQ(all.as_object().size(), 12u);
}

TEST(Hyperdht, AnnounceSignatureMessages) {
  const value all = test::load_vectors("announce-signatures");
  for (const value& c : all.at("cases").as_array()) {
    for (const char* kind : {"announce_message", "unannounce_message"}) {
      const Bytes wire = hex_bytes(c.at(kind));
      const auto got = decode_announce(wire);
      ASSERT_TRUE(got && got->peer);
      EXPECT_EQ(encode(*got), wire);
      EXPECT_EQ(to_hex(encode(*got->peer)), c.at("peer_encoding").as_string());
    }
  }
}

}  // namespace
}  // namespace hg::wire
