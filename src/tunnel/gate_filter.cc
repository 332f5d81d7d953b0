#include "tunnel/gate_filter.h"

#include <fmt/format.h>

#include <algorithm>

#include "tunnel/json_text.h"

namespace hg::tunnel {

namespace json = boost::json;

namespace {

template <class Visit>
bool all_words(std::string_view text, Visit&& visit) {
  while (true) {
    const size_t start = text.find_first_not_of(" \t");
    if (start == std::string_view::npos) return true;
    const size_t end = std::min(text.find_first_of(" \t", start), text.size());
    if (!visit(text.substr(start, end - start))) return false;
    text.remove_prefix(end);
  }
}

bool matches(const GateMatch& match, const Service& route) {
  if (match.gate_port && *match.gate_port != route.gate_port) return false;
  if (match.service_host && *match.service_host != route.service_host) return false;
  if (match.service_port && *match.service_port != route.service_port) return false;
  if (match.protocol && *match.protocol != route.protocol) return false;
  return !match.tags || all_words(*match.tags, [&](std::string_view tag) { return has_tag(route.tags, tag); });
}

Expected<GateMatch> read_match(const json::value& entry, std::string_view name, const std::string& path) {
  if (!entry.is_object()) return json_fault(name, path, entry, "an object with any of gatePort, serviceHost, servicePort, protocol, tags");
  GateMatch match;
  for (const auto& [key, value] : entry.get_object()) {
    const std::string at = fmt::format("{}.{}", path, std::string_view(key));
    if (key == "gatePort" || key == "servicePort") {
      const auto port = json_port(value);
      if (!port) return json_fault(name, at, value, "a whole number from 1 to 65535");
      (key == "gatePort" ? match.gate_port : match.service_port) = port;
    } else if (key == "serviceHost" || key == "tags") {
      if (!value.is_string()) return json_fault(name, at, value, "a string");
      (key == "tags" ? match.tags : match.service_host) = std::string(value.get_string());
    } else if (key == "protocol") {
      match.protocol = json_protocol(value);
      if (!match.protocol) return json_fault(name, at, value, "\"tcp\" or \"udp\"");
    } else if (key != "routes" && key != "ingressPolicy" && key != "desc" && !key.starts_with("$") && !key.starts_with("_")) {
      return json_fault(name, at, value, "known keys are gatePort, serviceHost, servicePort, protocol, tags");
    }
  }
  return match;
}

}  // namespace

bool has_tag(std::string_view tags, std::string_view tag) {
  return !all_words(tags, [&](std::string_view word) { return word != tag; });
}

bool GateFilter::passes(const Service& route) const {
  if (!any_of.empty() && std::none_of(any_of.begin(), any_of.end(), [&](const GateMatch& match) { return matches(match, route); }))
    return false;
  if (!only_services.empty() && std::find(only_services.begin(), only_services.end(), route.service_host) == only_services.end())
    return false;
  if (only_docker && !has_tag(route.tags, "docker")) return false;
  return !only_published || has_tag(route.tags, "published");
}

Expected<std::vector<GateMatch>> parse_gate_matches(std::string_view text, std::string_view name) {
  auto parsed = parse_json(text, name);
  if (!parsed) return parsed.error();
  std::string prefix = "$";
  const json::value* list = &*parsed;
  if (list->is_object() && list->get_object().contains("services")) {
    list = &list->get_object().at("services");
    prefix = "$.services";
  }
  if (!list->is_array()) return json_fault(name, prefix, *list, "an array of partial routes, or an object with \"services\"");
  std::vector<GateMatch> found;
  const json::array& entries = list->get_array();
  for (size_t i = 0; i < entries.size(); ++i) {
    auto match = read_match(entries[i], name, fmt::format("{}[{}]", prefix, i));
    if (!match) return match.error();
    found.push_back(std::move(*match));
  }
  return found;
}

}  // namespace hg::tunnel
