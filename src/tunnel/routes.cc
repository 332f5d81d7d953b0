#include "tunnel/routes.h"

#include "tunnel/ingress_policy.h"
#include "tunnel/json_text.h"

namespace hg::tunnel {

namespace json = boost::json;

namespace {

json::object encode_entry(const Service& service) {
  json::object entry;
  entry["serviceHost"] = service.service_host;
  entry["servicePort"] = service.service_port;
  entry["protocol"] = static_cast<int>(service.protocol);
  entry["gatePort"] = service.gate_port;
  if (!service.tags.empty()) entry["tags"] = service.tags;
  entry["routes"] = json::array();
  if (!service.ingress_policy.empty()) {
    boost::system::error_code failure;
    json::value policy = json::parse(service.ingress_policy, failure);
    if (!failure) entry["ingressPolicy"] = std::move(policy);
  }
  return entry;
}

/// False when the entry does not fit.
bool decode_entry(const json::value& value, Service& service) {
  const json::object* entry = value.if_object();
  if (entry == nullptr) return false;
  const json::value* gate_port = entry->if_contains("gatePort");
  const json::value* service_port = entry->if_contains("servicePort");
  const json::value* host = entry->if_contains("serviceHost");
  if (gate_port == nullptr || host == nullptr || !host->is_string()) return false;
  const auto port = json_port(*gate_port);
  if (!port || host->get_string().size() > kMaxHostBytes) return false;
  service.gate_port = *port;
  service.service_host = std::string(host->get_string());
  service.service_port = service_port == nullptr ? 0 : json_port(*service_port).value_or(0);
  if (const json::value* protocol = entry->if_contains("protocol"); protocol != nullptr && !protocol->is_null()) {
    const auto parsed = json_protocol(*protocol);
    if (!parsed) return false;
    service.protocol = *parsed;
  }
  if (const json::value* tags = entry->if_contains("tags"); tags != nullptr && tags->is_string()) {
    if (tags->get_string().size() > kMaxTagsBytes) return false;
    service.tags = std::string(tags->get_string());
  }
  if (const json::value* policy = entry->if_contains("ingressPolicy"); policy != nullptr && !policy->is_null()) {
    // A policy that cannot be read must not open the route to everybody.
    service.ingress_policy = json::serialize(*policy);
    if (!IngressPolicy::parse(service.ingress_policy, "ingressPolicy")) return false;
  }
  return true;
}

}  // namespace

std::string encode_advertisement(std::span<const Service> services, const Features& features) {
  json::object message;
  json::array& routes = message["routes"].emplace_array();
  routes.reserve(services.size());
  for (const Service& service : services) routes.push_back(encode_entry(service));
  json::array names;
  if (features.flow) names.emplace_back(kFeatureFlow);
  if (features.big_datagrams) names.emplace_back(kFeatureBigDatagrams);
  if (features.unordered_datagrams) names.emplace_back(kFeatureUnorderedDatagrams);
  if (features.move) names.emplace_back(kFeatureMove);
  if (!names.empty()) message["features"] = std::move(names);
  return json::serialize(message);
}

Expected<Advertisement> decode_advertisement(std::string_view text) {
  auto parsed = parse_json(text, "advRoutes");
  if (!parsed) return parsed.error();
  const json::object* message = parsed->if_object();
  const json::value* routes = message == nullptr ? nullptr : message->if_contains("routes");
  if (routes == nullptr || !routes->is_array()) return Error{"BAD_ROUTES", "advRoutes: no \"routes\" array"};
  Advertisement advertisement;
  for (const json::value& entry : routes->get_array()) {
    Service service;
    if (advertisement.routes.size() >= kMaxServices || !decode_entry(entry, service)) {
      ++advertisement.skipped;
    } else {
      advertisement.routes.push_back(std::move(service));
    }
  }
  if (const json::value* features = message->if_contains("features"); features != nullptr && features->is_array()) {
    for (const json::value& feature : features->get_array()) {
      if (!feature.is_string()) continue;
      if (feature.get_string() == kFeatureFlow) advertisement.features.flow = true;
      if (feature.get_string() == kFeatureBigDatagrams) advertisement.features.big_datagrams = true;
      if (feature.get_string() == kFeatureUnorderedDatagrams) advertisement.features.unordered_datagrams = true;
      if (feature.get_string() == kFeatureMove) advertisement.features.move = true;
    }
  }
  return advertisement;
}

}  // namespace hg::tunnel
