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
  if (!terms.any()) return {};
  json::object hg;
  if (terms.window != 0) hg["flow"] = terms.window;
  if (terms.datagram != 0) hg["datagram"] = terms.datagram;
  if (terms.unordered) hg["unordered"] = true;
  if (!terms.host.empty()) hg["host"] = terms.host;
  return "\"hg\":" + json::serialize(hg);
}

}  // namespace

std::string encode_fingerprint(const Fingerprint& fingerprint, const OpenTerms& ask) {
  std::string out = fmt::format("{{\"id\":\"{}\",\"openedAt\":{},\"protocol\":\"{}\",\"gatePort\":{},\"channelPort\":{}", fingerprint.id,
                                fingerprint.opened_at_ms, protocol_name(fingerprint.protocol), fingerprint.gate_port, fingerprint.channel);
  append_address(out, "source", fingerprint.source);
  append_address(out, "gateway", fingerprint.gateway);
  if (!fingerprint.labels.empty()) {
    out += ",\"ingressLabels\":[";
    for (size_t i = 0; i < fingerprint.labels.size(); ++i) {
      if (i > 0) out += ',';
      out += quoted(fingerprint.labels[i]);
    }
    out += ']';
  }
  if (ask.any()) out += ',' + terms_member(ask);
  out += '}';
  return out;
}

std::string encode_terms(const OpenTerms& terms) { return terms.any() ? '{' + terms_member(terms) + '}' : std::string(); }

namespace {

bool read_address(const json::object& object, std::string_view key, ClientAddress& out) {
  const json::value* value = object.if_contains(key);
  const json::object* address = value == nullptr ? nullptr : value->if_object();
  const json::value* ip = address == nullptr ? nullptr : address->if_contains("ip");
  const json::value* port = address == nullptr ? nullptr : address->if_contains("port");
  const auto number = port == nullptr ? std::nullopt : json_port(*port);
  if (ip == nullptr || !ip->is_string() || !number) return false;
  out.ip = std::string(ip->get_string());
  out.port = *number;
  return true;
}

}  // namespace

std::optional<Fingerprint> parse_fingerprint(std::string_view text) {
  if (text.empty() || text.size() > kMaxFingerprintBytes) return std::nullopt;
  boost::system::error_code failure;
  const json::value document = json::parse(text, failure);
  if (failure || !document.is_object()) return std::nullopt;
  const json::object& object = document.get_object();
  Fingerprint fingerprint;
  if (!read_address(object, "source", fingerprint.source)) return std::nullopt;
  read_address(object, "gateway", fingerprint.gateway);
  if (const json::value* id = object.if_contains("id"); id != nullptr && id->is_string()) fingerprint.id = std::string(id->get_string());
  if (const json::value* labels = object.if_contains("ingressLabels"); labels != nullptr && labels->is_array()) {
    for (const json::value& label : labels->get_array()) {
      if (label.is_string()) fingerprint.labels.emplace_back(label.get_string());
    }
  }
  return fingerprint;
}

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
  if (const json::value* unordered = hg->get_object().if_contains("unordered"); unordered != nullptr && unordered->is_bool())
    terms.unordered = unordered->get_bool();
  if (const json::value* host = hg->get_object().if_contains("host"); host != nullptr && host->is_string())
    terms.host = std::string(host->get_string());
  return terms;
}

}  // namespace hg::tunnel
