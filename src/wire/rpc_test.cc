#include "wire/rpc.h"

#include <gtest/gtest.h>

#include "support/vectors.h"

namespace hg::wire {
namespace {

using boost::json::value;
using test::hex_bytes;

std::optional<Hash32> hash_of(const value& v) {
  if (v.is_null()) return std::nullopt;
  return test::hex_array<32>(v);
}

TEST(RpcVectors, RequestsBothWays) {
  const value all = test::load_vectors("dht-rpc");
  const Hash32 self = test::hex_array<32>(all.at("node_self").at("id"));
  for (const value& c : all.at("requests").as_array()) {
    SCOPED_TRACE(c.at("label").as_string().c_str());
    RpcRequest m;
    m.tid = c.at("tid").to_number<uint16_t>();
    m.to = {parse_ipv4(std::string(c.at("to").at("host").as_string())).value(), c.at("to").at("port").to_number<uint16_t>()};
    if (!c.at("ephemeral").as_bool() && c.at("sent_on").as_string() == "server") m.id = self;
    m.token = hash_of(c.at("token"));
    m.internal = c.at("internal").as_bool();
    m.command = c.at("command").to_number<uint64_t>();
    m.target = hash_of(c.at("target"));
    if (!c.at("value").is_null()) m.value = hex_bytes(c.at("value"));
    EXPECT_EQ(to_hex(encode(m)), c.at("hex").as_string());

    const Bytes wire = hex_bytes(c.at("hex"));
    EXPECT_TRUE(is_rpc(wire));
    const auto got = decode_rpc_request(wire);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->tid, m.tid);
    EXPECT_EQ(got->to, m.to);
    EXPECT_EQ(got->id, m.id);
    EXPECT_EQ(got->token, m.token);
    EXPECT_EQ(got->internal, m.internal);
    EXPECT_EQ(got->command, m.command);
    EXPECT_EQ(got->target, m.target);
    EXPECT_EQ(got->value, m.value);
  }
}

TEST(RpcVectors, ResponsesRoundTrip) {
  const value all = test::load_vectors("dht-rpc");
  for (const value& c : all.at("responses").as_array()) {
    SCOPED_TRACE(c.at("label").as_string().c_str());
    const Bytes wire = hex_bytes(c.at("sent").at("hex"));
    const auto got = decode_rpc_response(wire);
    ASSERT_TRUE(got);
    EXPECT_EQ(to_hex(encode(*got)), c.at("sent").at("hex").as_string());
    EXPECT_FALSE(decode_rpc_request(wire));
  }
  for (const value& c : all.at("relay").as_array()) {
    const auto got = decode_rpc_request(hex_bytes(c.at("sent").at("hex")));
    ASSERT_TRUE(got);
    EXPECT_EQ(to_hex(encode(*got)), c.at("sent").at("hex").as_string());
  }
}

TEST(Rpc, EveryTruncationIsRefused) {
  RpcResponse m{.tid = 7, .to = {1, 2}, .id = Hash32{}, .token = Hash32{}, .closer_nodes = {{3, 4}}, .error = 1, .value = Bytes{1, 2}};
  const Bytes wire = encode(m);
  for (size_t n = 0; n < wire.size(); ++n) EXPECT_FALSE(decode_rpc_response(ByteView(wire).first(n))) << n;
  EXPECT_TRUE(decode_rpc_response(wire));
}

TEST(Rpc, EmptyValueDiffersFromNone) {
  RpcRequest m;
  m.value = Bytes{};
  const auto with = decode_rpc_request(encode(m));
  ASSERT_TRUE(with && with->value);
  EXPECT_TRUE(with->value->empty());
  m.value.reset();
  EXPECT_FALSE(decode_rpc_request(encode(m))->value);
}

}  // namespace
}  // namespace hg::wire
