// Which clients a gateway lets in to a route, and what it says about them.
//
//   {"defaults"?: rule, "ips"?: {PATTERN: rule, …}}
//   rule = {allow?, bandwidthLimit?: {mbps, burstMbps?} | null, expireAt?, labels?, onlyPorts?, excludePorts?, onlyProtocols?,
//   excludeProtocols?, desc?}
//
// The first rule in document order whose pattern holds the client's address, whose port and protocol limits fit the gate and that has not
// expired decides; else "defaults"; else the client is let in. PATTERN: IPv4, IPv6, CIDR of either, or "*".
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/expected.h"
#include "tunnel/frames.h"

namespace hg::tunnel {

struct BandwidthLimit {
  double mbps = 0;  // 10^6 bits a second
  double burst_mbps = 0;
};

struct PortRange {
  uint16_t from = 0;
  uint16_t to = 0;
};

struct IngressRule {
  std::string pattern;  // as written; "defaults" for those
  bool allow = true;
  std::optional<BandwidthLimit> bandwidth;
  std::optional<int64_t> expire_at_ms;  // unix
  std::vector<std::string> labels;
  std::vector<PortRange> only_ports;
  std::vector<PortRange> exclude_ports;
  std::vector<Protocol> only_protocols;
  std::vector<Protocol> exclude_protocols;
  std::string desc;
};

class IngressPolicy {
 public:
  static constexpr size_t kMaxRules = 65536;

  /// What becomes of keys that a rule, or the policy, does not have. A peer's are passed over, as TypeScript gateways do.
  enum class UnknownKeys { kRefused, kIgnored };

  /// An error is one line: name, JSON path, value, what is accepted.
  static Expected<IngressPolicy> parse(std::string_view json, std::string_view name, UnknownKeys unknown = UnknownKeys::kRefused);

  /// The rule for a client, nullptr when there is none (let in). `ip` as text; IPv4-mapped IPv6 counts as IPv4, a zone is cut off. A text
  /// that is no address is matched by "*" only.
  const IngressRule* match(std::string_view ip, uint16_t gate_port, Protocol protocol, int64_t now_ms) const;

  /// When the next rule expires, later than `now_ms`; nullopt: none does. Until then match() says the same.
  std::optional<int64_t> next_expiry(int64_t now_ms) const;
  size_t size() const { return rules_.size(); }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  using Prefix = ByteArray<16>;
  struct Pattern {
    bool any = false;
    bool v4 = false;
    uint8_t bits = 0;
    Prefix prefix{};  // bits beyond `bits` are zero
  };
  struct Entry {
    IngressRule rule;
    uint32_t next = kNone;  // the next rule, in document order, with the same pattern
  };
  struct PrefixHash {
    size_t operator()(const Prefix& prefix) const;
  };
  // All rules of one prefix length: an address is looked up once per length that occurs, however many rules there are.
  struct Length {
    uint8_t bits = 0;
    std::unordered_map<Prefix, uint32_t, PrefixHash> first;
  };
  static std::optional<Pattern> parse_pattern(std::string_view text);
  static void mask(Prefix& prefix, unsigned bits);
  void index(const Pattern& pattern, uint32_t rule);

  std::vector<Entry> rules_;  // in document order
  std::vector<Length> v4_;
  std::vector<Length> v6_;
  uint32_t first_any_ = kNone;
  std::optional<IngressRule> defaults_;
  std::vector<int64_t> expiries_;  // ascending
};

/// Merges policies deeply, later ones win; a rule stays where it came first. The result is JSON text.
Expected<std::string> merge_ingress_policies(std::span<const std::string> policies);

/// The same policy as a TypeScript gateway reads it, which lets in only where "allow" is said, takes one range of ports, as [from, to], and
/// protocols as a list in lower case. It knows no list of several ranges: those stay as they are.
std::string spell_out_ingress_policy(const std::string& policy);

}  // namespace hg::tunnel
