// The reference packages' data: node ids, tokens, table, sampler, signatures, namespaces.
#include "support/vectors.h"

#include <gtest/gtest.h>

#include "crypto/crypto.h"
#include "dht/nat_sampler.h"
#include "dht/routing_table.h"
#include "dht/signing.h"
#include "dht/tokens.h"

namespace hg::dht {
namespace {

using boost::json::value;
using test::hex_array;
using test::hex_bytes;

Endpoint endpoint_of(const value& v) {
  return {parse_ipv4(std::string(v.at("host").as_string())).value(), v.at("port").to_number<uint16_t>()};
}

TEST(DhtVectors, NodeIds) {
  crypto::init();
  const value all = test::load_vectors("crypto");
  for (const value& c : all.at("node_ids").as_array()) EXPECT_EQ(to_hex(node_id(endpoint_of(c))), c.at("id").as_string());
  for (const value& c : all.at("keypairs").as_array())
    EXPECT_EQ(to_hex(hash_target(hex_bytes(c.at("publicKey")))), c.at("peerTarget_hash_of_publicKey").as_string());
}

TEST(DhtVectors, Namespaces) {
  crypto::init();
  const value all = test::load_vectors("crypto");
  const std::pair<const char*, wire::Command> names[] = {{"ANNOUNCE", wire::kAnnounce},
                                                         {"UNANNOUNCE", wire::kUnannounce},
                                                         {"MUTABLE_PUT", wire::kMutablePut},
                                                         {"PEER_HANDSHAKE", wire::kPeerHandshake},
                                                         {"PEER_HOLEPUNCH", wire::kPeerHolepunch},
                                                         {"PLUGIN", wire::kPlugin}};
  for (const auto& [name, command] : names)
    EXPECT_EQ(to_hex(command_namespace(command)), all.at("namespaces_hyperswarm_dht").at(name).as_string());
}

TEST(DhtVectors, TokensAndRotation) {
  crypto::init();
  const value all = test::load_vectors("crypto").at("dht_token");
  const Hash32 s0 = hex_array<32>(all.at("secrets").at(0));
  const Hash32 s1 = hex_array<32>(all.at("secrets").at(1));
  Tokens tokens(s0, s1);
  for (const value& c : all.at("tokens").as_array()) {
    const uint32_t host = parse_ipv4(std::string(c.at("host").as_string())).value();
    EXPECT_EQ(to_hex(tokens.issue(host)), c.at("secret1").as_string());
    EXPECT_TRUE(tokens.accepts(host, hex_array<32>(c.at("secret0"))));
    EXPECT_TRUE(tokens.accepts(host, hex_array<32>(c.at("secret1"))));
    EXPECT_FALSE(tokens.accepts(host + 1, hex_array<32>(c.at("secret1"))));
  }
  const Hash32 r0 = hex_array<32>(all.at("after_one_rotation").at("secrets").at(0));
  const Hash32 r1 = hex_array<32>(all.at("after_one_rotation").at("secrets").at(1));
  const Tokens rotated(r0, r1);
  const uint32_t host = 0x01020304;
  const Hash32 before = tokens.issue(host);
  tokens.rotate();
  EXPECT_EQ(tokens.issue(host), rotated.issue(host));
  EXPECT_TRUE(tokens.accepts(host, before)) << "the previous secret still counts";
  tokens.rotate();
  EXPECT_FALSE(tokens.accepts(host, before));
}

TEST(DhtVectors, RoutingTable) {
  const value all = test::load_vectors("routing-table");
  RoutingTable table(hex_array<32>(all.at("table_id")));
  for (const value& c : all.at("nodes").as_array()) {
    const Contact contact{.id = hex_array<32>(c.at("id")), .address = endpoint_of(c)};
    EXPECT_EQ(table.bucket_of(contact.id), c.at("bucket").to_number<size_t>());
    EXPECT_EQ(table.add(contact) == RoutingTable::Added::kYes, c.at("added").as_bool());
  }
  EXPECT_EQ(table.size(), all.at("size").to_number<size_t>());
  for (const value& c : all.at("closest").as_array()) {
    std::vector<std::string> got;
    for (const Contact* contact : table.closest(hex_array<32>(c.at("target")), c.at("k").to_number<size_t>()))
      got.push_back(contact->address.to_string());
    std::vector<std::string> wanted;
    for (const value& item : c.at("result").as_array()) wanted.emplace_back(item.as_string());
    EXPECT_EQ(got, wanted);
  }
}

TEST(RoutingTable, OrderRemovalAndRebuild) {
  crypto::init();
  RoutingTable table(Hash32{});
  std::vector<Hash32> ids;
  for (uint16_t i = 1; i <= 30; ++i) {
    const Endpoint at{0x08000000u + i, i};
    if (table.add({.id = node_id(at), .address = at}) == RoutingTable::Added::kYes) ids.push_back(node_id(at));
  }
  EXPECT_EQ(table.add({.id = ids[0]}), RoutingTable::Added::kKnown);
  EXPECT_EQ(table.add({.id = Hash32{}}), RoutingTable::Added::kSelf);
  table.touch(ids[0]);
  EXPECT_EQ(table.by_age().back().id, ids[0]);
  EXPECT_TRUE(table.remove(ids[1]));
  EXPECT_FALSE(table.remove(ids[1]));
  EXPECT_EQ(table.find(ids[1]), nullptr);
  const size_t before = table.size();
  table.rebuild(ids[0]);
  EXPECT_EQ(table.size(), before - 1);
  EXPECT_EQ(table.find(ids[0]), nullptr);
  for (size_t i = 2; i < ids.size(); ++i) EXPECT_NE(table.find(ids[i]), nullptr);
}

TEST(DhtVectors, NatSampler) {
  const value all = test::load_vectors("nat").at("dht_rpc_nat_sampler");
  for (const auto& [name, steps] : all.as_object()) {
    NatSampler sampler;
    size_t n = 0;
    for (const value& step : steps.as_array()) {
      SCOPED_TRACE(std::string(name) + " step " + std::to_string(n++));
      const auto& add = step.at("add").as_array();
      const Endpoint seen{parse_ipv4(std::string(add.at(0).as_string())).value(), add.at(1).to_number<uint16_t>()};
      EXPECT_EQ(sampler.add(seen), step.at("returned_hits").to_number<int>());
      EXPECT_EQ(sampler.size(), step.at("size").to_number<size_t>());
      EXPECT_EQ(sampler.known(), !step.at("host").is_null());
      if (sampler.known() && !step.at("host").is_null()) {
        EXPECT_EQ(sampler.address().host(), step.at("host").as_string());
      }
      EXPECT_EQ(sampler.known() ? sampler.address().port : 0, step.at("port").to_number<int>());
    }
  }
}

TEST(DhtVectors, AnnounceSignatures) {
  crypto::init();
  const value all = test::load_vectors("announce-signatures");
  for (const value& c : all.at("cases").as_array()) {
    SCOPED_TRACE(c.at("label").as_string().c_str());
    const KeyPair keys = crypto::key_pair_from_seed(hex_array<32>(c.at("seed")));
    const Hash32 target = hex_array<32>(c.at("target"));
    const Hash32 token = hex_array<32>(c.at("token"));
    const Hash32 id = hex_array<32>(c.at("node_id"));
    std::optional<Hash32> refresh;
    if (!c.at("refresh").is_null()) refresh = hex_array<32>(c.at("refresh"));
    wire::Peer peer{keys.public_key, {}};
    for (const value& a : c.at("relayAddresses").as_array()) peer.relay_addresses.push_back(endpoint_of(a));

    const Signable announce = announce_signable(wire::kAnnounce, target, id, token, peer, refresh);
    const Signable unannounce = announce_signable(wire::kUnannounce, target, id, token, peer, refresh);
    EXPECT_EQ(to_hex(announce), c.at("announce_signable").as_string());
    EXPECT_EQ(to_hex(unannounce), c.at("unannounce_signable").as_string());
    EXPECT_EQ(to_hex(crypto::sign_detached(announce, keys.secret_key)), c.at("announce_signature").as_string());
    EXPECT_EQ(to_hex(crypto::sign_detached(unannounce, keys.secret_key)), c.at("unannounce_signature").as_string());
    if (!refresh) {
      EXPECT_EQ(to_hex(signed_announce(wire::kAnnounce, keys, target, id, token, peer.relay_addresses, 0)),
                c.at("announce_message").as_string());
      EXPECT_EQ(to_hex(signed_announce(wire::kUnannounce, keys, target, id, token, peer.relay_addresses, 0)),
                c.at("unannounce_message").as_string());
    }
  }
  const value& m = all.at("mutable");
  const KeyPair keys = crypto::key_pair_from_seed(hex_array<32>(m.at("seed")));
  const Signable signable = mutable_signable(m.at("seq").to_number<uint64_t>(), hex_bytes(m.at("value")));
  EXPECT_EQ(to_hex(crypto::sign_detached(signable, keys.secret_key)), m.at("signature").as_string());
}

}  // namespace
}  // namespace hg::dht
