#include "tunnel/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "tunnel/json_text.h"

namespace hg::tunnel {

namespace json = boost::json;

namespace {

std::string quoted(std::string_view text) { return json::serialize(json::string(text)); }

void append_address(std::string& out, std::string_view key, const ClientAddress& address) {
  fmt::format_to(std::back_inserter(out), ",\"{}\":{{\"ip\":{},\"ipRaw\":{},\"port\":{}}}", key, quoted(address.ip), quoted(address.ip_raw),
                 address.port);
}

uint32_t positive_u32(const json::value* value) {
  const auto number = value == nullptr ? std::nullopt : json_integer(*value);
  if (!number || *number <= 0) return 0;
  return static_cast<uint32_t>(std::min<int64_t>(*number, std::numeric_limits<uint32_t>::max()));
}

/// "hg":{…}, or nothing.
std::string terms_member(const OpenTerms& terms) {
  if (terms.window != 0 && terms.datagram != 0) return fmt::format("\"hg\":{{\"flow\":{},\"datagram\":{}}}", terms.window, terms.datagram);
  if (terms.window != 0) return fmt::format("\"hg\":{{\"flow\":{}}}", terms.window);
  if (terms.datagram != 0) return fmt::format("\"hg\":{{\"datagram\":{}}}", terms.datagram);
  return {};
}

}  // namespace

std::string encode_fingerprint(const Fingerprint& fingerprint, const OpenTerms& ask) {
  std::string out = fmt::format("{{\"id\":\"{}\",\"openedAt\":{},\"protocol\":\"{}\",\"gatePort\":{},\"channelPort\":{}", fingerprint.id,
                                fingerprint.opened_at_ms, protocol_name(fingerprint.protocol), fingerprint.gate_port, fingerprint.channel);
  append_address(out, "source", fingerprint.source);
  append_address(out, "gateway", fingerprint.gateway);
  if (!fingerprint.labels.empty()) {
    out += ",\"ingressLabels\":[";
    for (size_t i = 0; i < fingerprint.labels.size(); ++i) out += (i == 0 ? "" : ",") + quoted(fingerprint.labels[i]);
    out += ']';
  }
  if (ask.any()) out += ',' + terms_member(ask);
  out += '}';
  return out;
}

std::string encode_terms(const OpenTerms& terms) { return terms.any() ? '{' + terms_member(terms) + '}' : std::string(); }

OpenTerms parse_terms(std::string_view text) {
  OpenTerms terms;
  // Most fingerprints come from peers that ask for nothing: do not parse those.
  if (text.size() > kMaxFingerprintBytes || text.find("\"hg\"") == std::string_view::npos) return terms;
  boost::system::error_code failure;
  const json::value document = json::parse(text, failure);
  if (failure || !document.is_object()) return terms;
  const json::value* hg = document.get_object().if_contains("hg");
  if (hg == nullptr || !hg->is_object()) return terms;
  terms.window = positive_u32(hg->get_object().if_contains("flow"));
  terms.datagram = positive_u32(hg->get_object().if_contains("datagram"));
  return terms;
}

}  // namespace hg::tunnel
