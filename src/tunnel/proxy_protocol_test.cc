#include "tunnel/proxy_protocol.h"

#include <gtest/gtest.h>

namespace hg::tunnel {
namespace {

std::string fingerprint(const std::string& source, const std::string& gate) {
  return encode_fingerprint({"00ff", 1, Protocol::kTcp, 80, 1, {source, source, 40000}, {gate, gate, 443}, {"trusted", "eu"}}, {});
}

std::string v1(const std::string& text) { return std::string(as_text(make_proxy_header(ProxyHeader::kV1, Protocol::kTcp, text, {}))); }

TEST(ProxyProtocol, Version1) {
  EXPECT_EQ("PROXY TCP4 203.0.113.9 192.0.2.1 40000 443\r\n", v1(fingerprint("203.0.113.9", "192.0.2.1")));
  EXPECT_EQ("PROXY TCP6 2001:db8::9 ::1 40000 443\r\n", v1(fingerprint("2001:db8::9", "::1")));
  EXPECT_EQ("PROXY TCP6 ::ffff:203.0.113.9 2001:db8::1 40000 443\r\n", v1(fingerprint("203.0.113.9", "2001:db8::1")));
  EXPECT_EQ("PROXY TCP4 203.0.113.9 0.0.0.0 40000 443\r\n", v1(fingerprint("203.0.113.9", "::")));
  EXPECT_EQ("PROXY UNKNOWN\r\n", v1(""));
  EXPECT_EQ("PROXY UNKNOWN\r\n", v1("{\"source\":{\"ip\":\"x\\r\\nGET\",\"port\":1}}"));
  EXPECT_TRUE(make_proxy_header(ProxyHeader::kNone, Protocol::kTcp, fingerprint("203.0.113.9", "::1"), {}).empty());
}

TEST(ProxyProtocol, Version2) {
  PublicKey gateway;
  gateway.fill(0xab);
  const Bytes header = make_proxy_header(ProxyHeader::kV2, Protocol::kUdp, fingerprint("203.0.113.9", "192.0.2.1"), gateway);
  std::string key;
  for (int i = 0; i < 32; ++i) key += "ab";
  EXPECT_EQ(
      "0d0a0d0a000d0a515549540a"
      "21"
      "12"
      "0043"
      "cb007109"
      "c0000201"
      "9c40"
      "01bb"
      "05000430306666"
      "e0000a"
      "747275737465642c6575"
      "e10020" +
          key,
      to_hex(header));
  const Bytes local = make_proxy_header(ProxyHeader::kV2, Protocol::kTcp, "", gateway);
  EXPECT_EQ(
      "0d0a0d0a000d0a515549540a"
      "20"
      "00"
      "0023"
      "e10020" +
          key,
      to_hex(local));
  EXPECT_EQ(0x21, make_proxy_header(ProxyHeader::kV2, Protocol::kTcp, fingerprint("::2", "::1"), gateway)[13]);
}

}  // namespace
}  // namespace hg::tunnel
