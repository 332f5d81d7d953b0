#include "tunnel/ingress_policy.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "tunnel/json_text.h"

namespace hg::tunnel {

namespace json = boost::json;

namespace {

constexpr size_t kMaxLabels = 256;
constexpr double kMaxMbps = 1e6;
using UnknownKeys = IngressPolicy::UnknownKeys;

struct Fault {
  std::string path;
  const json::value* value;
  std::string accepted;
};

bool read_limit(const json::value& value, IngressRule& rule, std::optional<Fault>& fault, const std::string& path) {
  if (value.is_null()) return true;
  const json::object* limit = value.if_object();
  const json::value* mbps = limit == nullptr ? nullptr : limit->if_contains("mbps");
  const auto rate = mbps == nullptr ? std::nullopt : json_number(*mbps);
  if (!rate || *rate <= 0 || *rate > kMaxMbps) {
    fault = Fault{path, &value, "null, or an object with mbps (a number above 0) and burstMbps"};
    return false;
  }
  rule.bandwidth = BandwidthLimit{*rate, *rate};
  if (const json::value* burst = limit->if_contains("burstMbps"); burst != nullptr && !burst->is_null()) {
    const auto number = json_number(*burst);
    if (!number || *number <= 0 || *number > kMaxMbps) {
      fault = Fault{path + ".burstMbps", burst, "a number above 0"};
      return false;
    }
    rule.bandwidth->burst_mbps = *number;
  }
  return true;
}

std::optional<PortRange> read_range(const json::value& value) {
  const json::value* from = nullptr;
  const json::value* to = nullptr;
  if (const json::array* pair = value.if_array(); pair != nullptr && pair->size() == 2) {
    from = &pair->at(0);
    to = &pair->at(1);
  } else if (const json::object* object = value.if_object()) {
    from = object->if_contains("from");
    to = object->if_contains("to");
  }
  if (from == nullptr || to == nullptr) return std::nullopt;
  const auto low = json_port(*from);
  const auto high = json_port(*to);
  if (!low || !high || *low > *high) return std::nullopt;
  return PortRange{*low, *high};
}

/// [from, to], {from, to}, or a list of either.
bool read_ranges(const json::value& value, std::vector<PortRange>& ranges) {
  if (value.is_null()) return true;
  if (const auto one = read_range(value)) {
    ranges.push_back(*one);
    return true;
  }
  if (!value.is_array()) return false;
  for (const json::value& entry : value.get_array()) {
    const auto range = read_range(entry);
    if (!range) return false;
    ranges.push_back(*range);
  }
  return true;
}

/// One protocol or a list of them.
bool read_protocols(const json::value& value, std::vector<Protocol>& protocols) {
  if (value.is_null()) return true;
  if (!value.is_array()) {
    const auto one = json_protocol(value);
    if (one) protocols.push_back(*one);
    return one.has_value();
  }
  for (const json::value& entry : value.get_array()) {
    const auto protocol = json_protocol(entry);
    if (!protocol) return false;
    protocols.push_back(*protocol);
  }
  return true;
}

bool read_labels(const json::value& value, std::vector<std::string>& labels) {
  if (value.is_null()) return true;
  if (!value.is_array() || value.get_array().size() > kMaxLabels) return false;
  for (const json::value& label : value.get_array()) {
    if (!label.is_string()) return false;
    labels.emplace_back(label.get_string());
  }
  return true;
}

bool is_comment(std::string_view key) { return key.starts_with('$') || key.starts_with('_'); }

std::optional<Fault> read_rule_key(std::string_view key, const json::value& value, const std::string& path, UnknownKeys unknown,
                                   IngressRule& rule) {
  constexpr std::string_view kPorts = "[from, to] or {\"from\", \"to\"} with ports from 1 to 65535, or a list of them";
  constexpr std::string_view kProtocols = "a list of \"tcp\" and \"udp\"";
  const auto wrong = [&](std::string_view accepted) { return Fault{path, &value, std::string(accepted)}; };
  if (key == "allow") {
    if (value.is_null()) return std::nullopt;
    if (!value.is_bool()) return wrong("true or false");
    rule.allow = value.get_bool();
  } else if (key == "bandwidthLimit") {
    std::optional<Fault> fault;
    if (!read_limit(value, rule, fault, path)) return fault;
  } else if (key == "expireAt") {
    if (value.is_null()) return std::nullopt;
    rule.expire_at_ms = json_integer(value);
    if (!rule.expire_at_ms) return wrong("a time in unix milliseconds");
  } else if (key == "labels") {
    if (!read_labels(value, rule.labels)) return wrong("a list of at most 256 strings");
  } else if (key == "onlyPorts" || key == "excludePorts") {
    if (!read_ranges(value, key == "onlyPorts" ? rule.only_ports : rule.exclude_ports)) return wrong(kPorts);
  } else if (key == "onlyProtocols" || key == "excludeProtocols") {
    if (!read_protocols(value, key == "onlyProtocols" ? rule.only_protocols : rule.exclude_protocols)) return wrong(kProtocols);
  } else if (key == "desc") {
    if (value.is_string()) rule.desc = std::string(value.get_string());
  } else if (unknown == UnknownKeys::kRefused && !is_comment(key)) {
    return wrong("known keys are allow, bandwidthLimit, expireAt, labels, onlyPorts, excludePorts, onlyProtocols, excludeProtocols, desc");
  }
  return std::nullopt;
}

std::optional<Fault> read_rule(const json::value& value, const std::string& path, UnknownKeys unknown, IngressRule& rule) {
  const json::object* object = value.if_object();
  if (object == nullptr) return Fault{path, &value, "a rule object"};
  for (const auto& [key, entry] : *object) {
    if (auto fault = read_rule_key(key, entry, fmt::format("{}.{}", path, std::string_view(key)), unknown, rule)) return fault;
  }
  return std::nullopt;
}

bool in_ranges(const std::vector<PortRange>& ranges, uint16_t port) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const PortRange& range) { return range.from <= port && port <= range.to; });
}

bool fits(const IngressRule& rule, uint16_t port, Protocol protocol, int64_t now_ms) {
  const auto lists = [&](const std::vector<Protocol>& protocols) {
    return std::find(protocols.begin(), protocols.end(), protocol) != protocols.end();
  };
  if (rule.expire_at_ms && *rule.expire_at_ms <= now_ms) return false;
  if (!rule.only_ports.empty() && !in_ranges(rule.only_ports, port)) return false;
  if (in_ranges(rule.exclude_ports, port)) return false;
  if (!rule.only_protocols.empty() && !lists(rule.only_protocols)) return false;
  return !lists(rule.exclude_protocols);
}

}  // namespace

std::optional<IngressPolicy::Pattern> IngressPolicy::parse_pattern(std::string_view text) {
  Pattern pattern;
  if (text == "*") {
    pattern.any = true;
    return pattern;
  }
  std::optional<unsigned> bits;
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    unsigned number = 0;
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (failure != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    bits = number;
    text = text.substr(0, slash);
  }
  const std::string host(text.substr(0, text.find('%')));
  if (inet_pton(AF_INET, host.c_str(), pattern.prefix.data()) == 1) {
    pattern.v4 = true;
  } else if (inet_pton(AF_INET6, host.c_str(), pattern.prefix.data()) != 1) {
    return std::nullopt;
  }
  if (bits && *bits > (pattern.v4 ? 32u : 128u)) return std::nullopt;
  pattern.bits = static_cast<uint8_t>(bits.value_or(pattern.v4 ? 32 : 128));
  constexpr ByteArray<12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (!pattern.v4 && pattern.bits >= 96 && std::equal(kMapped.begin(), kMapped.end(), pattern.prefix.begin())) {
    std::copy_n(pattern.prefix.begin() + 12, 4, pattern.prefix.begin());
    std::fill(pattern.prefix.begin() + 4, pattern.prefix.end(), uint8_t{0});
    pattern.v4 = true;
    pattern.bits = static_cast<uint8_t>(pattern.bits - 96);
  }
  mask(pattern.prefix, pattern.bits);
  return pattern;
}

void IngressPolicy::mask(Prefix& prefix, unsigned bits) {
  size_t at = bits / 8;
  if (bits % 8 != 0) prefix[at++] &= static_cast<uint8_t>(0xff << (8 - bits % 8));
  std::fill(prefix.begin() + static_cast<ptrdiff_t>(at), prefix.end(), uint8_t{0});
}

size_t IngressPolicy::PrefixHash::operator()(const Prefix& prefix) const {
  uint64_t high = 0;
  uint64_t low = 0;
  std::memcpy(&high, prefix.data(), sizeof high);
  std::memcpy(&low, prefix.data() + sizeof high, sizeof low);
  uint64_t mixed = (high ^ (low * 0x9e3779b97f4a7c15u)) * 0xbf58476d1ce4e5b9u;  // SplitMix64's constants
  return static_cast<size_t>(mixed ^ (mixed >> 31));
}

/// Rules are indexed from the last to the first: each becomes the head of its chain.
void IngressPolicy::index(const Pattern& pattern, uint32_t rule) {
  uint32_t* head = &first_any_;
  if (!pattern.any) {
    std::vector<Length>& lengths = pattern.v4 ? v4_ : v6_;
    auto length = std::find_if(lengths.begin(), lengths.end(), [&](const Length& one) { return one.bits == pattern.bits; });
    if (length == lengths.end()) length = lengths.insert(length, Length{pattern.bits, {}});
    head = &length->first.try_emplace(pattern.prefix, kNone).first->second;
  }
  rules_[rule].next = *head;
  *head = rule;
}

Expected<IngressPolicy> IngressPolicy::parse(std::string_view text, std::string_view name, UnknownKeys unknown) {
  auto parsed = parse_json(text, name);
  if (!parsed) return parsed.error();
  const json::object* document = parsed->if_object();
  if (document == nullptr) return json_fault(name, "$", *parsed, "an object with \"defaults\" and \"ips\"");
  IngressPolicy policy;
  std::vector<Pattern> patterns;
  for (const auto& [key, value] : *document) {
    if (value.is_null() || is_comment(key) || key == "desc") continue;
    if (key == "defaults") {
      policy.defaults_.emplace().pattern = "defaults";
      if (const auto fault = read_rule(value, "$.defaults", unknown, *policy.defaults_))
        return json_fault(name, fault->path, *fault->value, fault->accepted);
    } else if (key == "ips") {
      if (!value.is_object()) return json_fault(name, "$.ips", value, "an object of address patterns and rules");
      if (value.get_object().size() > kMaxRules)
        return Error{"BAD_VALUE", fmt::format("{}: $.ips: more than {} rules are not accepted", name, kMaxRules)};
      for (const auto& [pattern_text, rule_value] : value.get_object()) {
        const std::string path = fmt::format("$.ips[\"{}\"]", std::string_view(pattern_text));
        const auto pattern = parse_pattern(pattern_text);
        if (!pattern) return json_fault(name, path, json::value(pattern_text), "an IPv4 or IPv6 address, a CIDR of either, or *");
        Entry entry;
        entry.rule.pattern = std::string(pattern_text);
        if (const auto fault = read_rule(rule_value, path, unknown, entry.rule))
          return json_fault(name, fault->path, *fault->value, fault->accepted);
        policy.rules_.push_back(std::move(entry));
        patterns.push_back(*pattern);
      }
    } else if (unknown == UnknownKeys::kRefused) {
      return json_fault(name, fmt::format("$.{}", std::string_view(key)), value, "known keys are defaults and ips");
    }
  }
  for (size_t i = policy.rules_.size(); i-- > 0;) policy.index(patterns[i], static_cast<uint32_t>(i));
  for (const Entry& entry : policy.rules_) {
    if (entry.rule.expire_at_ms) policy.expiries_.push_back(*entry.rule.expire_at_ms);
  }
  if (policy.defaults_ && policy.defaults_->expire_at_ms) policy.expiries_.push_back(*policy.defaults_->expire_at_ms);
  std::sort(policy.expiries_.begin(), policy.expiries_.end());
  return policy;
}

const IngressRule* IngressPolicy::match(std::string_view ip, uint16_t gate_port, Protocol protocol, int64_t now_ms) const {
  const auto address = ip.find('/') == std::string_view::npos ? parse_pattern(ip) : std::nullopt;
  uint32_t best = kNone;
  // Each chain is in document order: its first rule that fits is the chain's answer, the earliest of these is the policy's.
  const auto try_chain = [&](uint32_t rule) {
    for (; rule < best; rule = rules_[rule].next) {
      if (fits(rules_[rule].rule, gate_port, protocol, now_ms)) best = rule;
    }
  };
  try_chain(first_any_);
  if (address && !address->any) {
    for (const Length& length : address->v4 ? v4_ : v6_) {
      Prefix prefix = address->prefix;
      mask(prefix, length.bits);
      const auto found = length.first.find(prefix);
      if (found != length.first.end()) try_chain(found->second);
    }
  }
  if (best != kNone) return &rules_[best].rule;
  return defaults_ && fits(*defaults_, gate_port, protocol, now_ms) ? &*defaults_ : nullptr;
}

std::optional<int64_t> IngressPolicy::next_expiry(int64_t now_ms) const {
  const auto next = std::upper_bound(expiries_.begin(), expiries_.end(), now_ms);
  return next == expiries_.end() ? std::nullopt : std::optional(*next);
}

namespace {

void merge_into(json::value& base, const json::value& more) {
  if (!base.is_object() || !more.is_object()) {
    base = more;
    return;
  }
  for (const auto& [key, value] : more.get_object()) {
    json::value& slot = base.get_object()[key];
    merge_into(slot, value);
  }
}

}  // namespace

Expected<std::string> merge_ingress_policies(std::span<const std::string> policies) {
  json::value merged = json::object();
  for (const std::string& text : policies) {
    auto parsed = parse_json(text, "ingressPolicy");
    if (!parsed) return parsed.error();
    merge_into(merged, *parsed);
  }
  return json::serialize(merged);
}

namespace {

void spell_out_ranges(json::object& rule, std::string_view key) {
  json::value* value = rule.if_contains(key);
  std::vector<PortRange> ranges;
  if (value == nullptr || !read_ranges(*value, ranges) || ranges.size() != 1) return;
  *value = json::array{ranges[0].from, ranges[0].to};
}

void spell_out_protocols(json::object& rule, std::string_view key) {
  json::value* value = rule.if_contains(key);
  std::vector<Protocol> protocols;
  if (value == nullptr || value->is_null() || !read_protocols(*value, protocols)) return;
  json::array names;
  for (const Protocol protocol : protocols) names.emplace_back(protocol_name(protocol));
  *value = std::move(names);
}

void spell_out_rule(json::value& value) {
  json::object* rule = value.if_object();
  if (rule == nullptr) return;
  if (const json::value* allow = rule->if_contains("allow"); allow == nullptr || allow->is_null()) (*rule)["allow"] = true;
  for (const char* key : {"onlyPorts", "excludePorts"}) spell_out_ranges(*rule, key);
  for (const char* key : {"onlyProtocols", "excludeProtocols"}) spell_out_protocols(*rule, key);
}

}  // namespace

std::string spell_out_ingress_policy(const std::string& policy) {
  auto parsed = parse_json(policy, "ingressPolicy");
  json::object* document = parsed ? parsed->if_object() : nullptr;
  if (document == nullptr) return policy;
  if (json::value* defaults = document->if_contains("defaults")) spell_out_rule(*defaults);
  json::value* ips = document->if_contains("ips");
  if (ips != nullptr && ips->is_object()) {
    for (auto& [pattern, rule] : ips->get_object()) spell_out_rule(rule);
  }
  return json::serialize(*parsed);
}

}  // namespace hg::tunnel
