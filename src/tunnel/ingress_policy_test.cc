#include "tunnel/ingress_policy.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/endpoint.h"
#include "base/rng.h"

namespace hg::tunnel {
namespace {

constexpr int64_t kNow = 1'700'000'000'000;

bool allowed(const IngressPolicy& policy, std::string_view ip, uint16_t port = 80, Protocol protocol = Protocol::kTcp) {
  const IngressRule* rule = policy.match(ip, port, protocol, kNow);
  return rule == nullptr || rule->allow;
}

IngressPolicy parse(std::string_view text) {
  auto policy = IngressPolicy::parse(text, "p.json");
  EXPECT_TRUE(policy) << (policy ? "" : policy.error().message);
  return policy ? std::move(*policy) : IngressPolicy();
}

TEST(IngressPolicy, TheReadmesExample) {
  const IngressPolicy policy = parse(R"({"defaults":{"allow":true,"bandwidthLimit":{"mbps":10,"burstMbps":50}},
    "ips":{"203.0.113.10":{"bandwidthLimit":null,"labels":["trusted"]},"198.51.100.25":{"allow":false}}})");
  EXPECT_TRUE(allowed(policy, "203.0.113.10"));
  EXPECT_EQ(std::vector<std::string>{"trusted"}, policy.match("203.0.113.10", 80, Protocol::kTcp, kNow)->labels);
  EXPECT_FALSE(policy.match("203.0.113.10", 80, Protocol::kTcp, kNow)->bandwidth);
  EXPECT_FALSE(allowed(policy, "198.51.100.25"));
  EXPECT_TRUE(allowed(policy, "192.0.2.1"));
  EXPECT_EQ(50, policy.match("192.0.2.1", 80, Protocol::kTcp, kNow)->bandwidth->burst_mbps);
}

TEST(IngressPolicy, FirstMatchInDocumentOrderWins) {
  const IngressPolicy policy =
      parse(R"({"ips":{"10.1.0.0/16":{"allow":true},"10.0.0.0/8":{"allow":false},"2001:db8::/32":{"allow":false},"*":{"desc":"rest"}}})");
  EXPECT_TRUE(allowed(policy, "10.1.2.3"));
  EXPECT_FALSE(allowed(policy, "10.2.2.3"));
  EXPECT_FALSE(allowed(policy, "::ffff:10.2.2.3"));
  EXPECT_FALSE(allowed(policy, "2001:db8:1::5"));
  EXPECT_FALSE(allowed(policy, "2001:db8:1::5%eth0"));
  EXPECT_TRUE(allowed(policy, "2001:db9::5"));
  EXPECT_EQ("rest", policy.match("no address", 1, Protocol::kTcp, kNow)->desc);
}

TEST(IngressPolicy, ThousandsOfPrefixesAgreeWithAWalkInDocumentOrder) {
  SeededRng rng(7);
  struct Rule {
    uint32_t address;
    unsigned bits;
  };
  std::vector<Rule> rules;
  std::string text = R"({"ips":{)";
  for (int i = 0; i < 5000; ++i) {
    const Rule rule{0x0a000000u | (rng.u32() & 0x0fffff), 12 + rng.below(21)};
    const std::string pattern = format_ipv4(rule.address) + '/' + std::to_string(rule.bits);
    if (text.find('"' + pattern + '"') != std::string::npos) continue;
    text += fmt::format(R"({}"{}":{{"labels":["{}"]}})", rules.empty() ? "" : ",", pattern, rules.size());
    rules.push_back(rule);
  }
  const IngressPolicy policy = parse(text + "}}");
  ASSERT_EQ(rules.size(), policy.size());
  for (int i = 0; i < 2000; ++i) {
    const uint32_t address = 0x0a000000u | (rng.u32() & 0x0fffff);
    size_t expected = 0;
    while (expected < rules.size() && (address ^ rules[expected].address) >> (32 - rules[expected].bits) != 0) ++expected;
    const IngressRule* rule = policy.match(format_ipv4(address), 80, Protocol::kTcp, kNow);
    ASSERT_EQ(expected == rules.size(), rule == nullptr);
    if (rule != nullptr) {
      ASSERT_EQ(std::to_string(expected), rule->labels.at(0));
    }
  }
}

TEST(IngressPolicy, SaysWhenTheNextRuleExpires) {
  const IngressPolicy policy =
      parse(R"({"defaults":{"expireAt":300},"ips":{"10.0.0.1":{"expireAt":100},"10.0.0.2":{"expireAt":200},"10.0.0.3":{}}})");
  EXPECT_EQ(100, policy.next_expiry(0));
  EXPECT_EQ(200, policy.next_expiry(100));
  EXPECT_EQ(300, policy.next_expiry(250));
  EXPECT_EQ(std::nullopt, policy.next_expiry(300));
}

TEST(IngressPolicy, EdgesOfPrefixes) {
  const IngressPolicy policy =
      parse(R"({"ips":{"192.168.128.0/17":{"allow":false},"0.0.0.0/0":{"labels":["v4"]},"::ffff:1.2.3.0/120":{}}})");
  EXPECT_FALSE(allowed(policy, "192.168.128.0"));
  EXPECT_FALSE(allowed(policy, "192.168.255.255"));
  EXPECT_TRUE(allowed(policy, "192.168.127.255"));
  EXPECT_EQ(nullptr, policy.match("::1", 1, Protocol::kTcp, kNow));
}

TEST(IngressPolicy, RulesThatDoNotFitArePassedOver) {
  const IngressPolicy policy = parse(R"({"defaults":{"allow":false},"ips":{
    "10.0.0.1":{"expireAt":1699999999999},
    "10.0.0.2":{"onlyPorts":[80,90]},
    "10.0.0.3":{"excludePorts":[{"from":22,"to":22},{"from":80,"to":90}]},
    "10.0.0.4":{"onlyProtocols":["udp"]},
    "10.0.0.5":{"excludeProtocols":["udp"]},
    "10.0.0.6":{"onlyPorts":[[1,2],[80,80]]},
    "10.0.0.7":{"expireAt":1700000000001}}})");
  EXPECT_FALSE(allowed(policy, "10.0.0.1"));
  EXPECT_TRUE(allowed(policy, "10.0.0.2"));
  EXPECT_FALSE(allowed(policy, "10.0.0.2", 91));
  EXPECT_FALSE(allowed(policy, "10.0.0.3", 85));
  EXPECT_TRUE(allowed(policy, "10.0.0.3", 91));
  EXPECT_FALSE(allowed(policy, "10.0.0.4"));
  EXPECT_TRUE(allowed(policy, "10.0.0.4", 80, Protocol::kUdp));
  EXPECT_FALSE(allowed(policy, "10.0.0.5", 80, Protocol::kUdp));
  EXPECT_TRUE(allowed(policy, "10.0.0.6", 80));
  EXPECT_FALSE(allowed(policy, "10.0.0.6", 3));
  EXPECT_TRUE(allowed(policy, "10.0.0.7"));
}

TEST(IngressPolicy, FaultsNameTheirPlace) {
  for (const auto& [text, part] :
       std::vector<std::pair<const char*, const char*>>{{"[]", "p.json: $: []"},
                                                        {R"({"ips":{"10.0.0.256":{}}})", "$.ips[\"10.0.0.256\"]"},
                                                        {R"({"ips":{"10.0.0.1":{"allow":"yes"}}})", "$.ips[\"10.0.0.1\"].allow: \"yes\""},
                                                        {R"({"defaults":{"bandwidthLimit":{"mbps":-1}}})", "$.defaults.bandwidthLimit"},
                                                        {R"({"defaults":{"onlyPorts":[90,80]}})", "$.defaults.onlyPorts"},
                                                        {R"({"default":{}})", "$.default"},
                                                        {R"({"defaults":{"alow":true}})", "$.defaults.alow"}}) {
    const auto policy = IngressPolicy::parse(text, "p.json");
    ASSERT_FALSE(policy) << text;
    EXPECT_NE(std::string::npos, policy.error().message.find(part)) << policy.error().message;
  }
}

TEST(IngressPolicy, LaterPoliciesWinAndTheOrderStays) {
  const std::vector<std::string> texts = {R"({"defaults":{"allow":true},"ips":{"10.0.0.1":{"labels":["a"],"desc":"x"},"*":{}}})",
                                          R"({"defaults":{"allow":false},"ips":{"10.0.0.1":{"labels":["b"]},"10.0.0.2":{}}})"};
  const auto merged = merge_ingress_policies(texts);
  ASSERT_TRUE(merged);
  EXPECT_EQ(R"({"defaults":{"allow":false},"ips":{"10.0.0.1":{"labels":["b"],"desc":"x"},"*":{},"10.0.0.2":{}}})", *merged);
}

}  // namespace
}  // namespace hg::tunnel
