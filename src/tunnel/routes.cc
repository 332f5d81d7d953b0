#include "tunnel/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "tunnel/ingress_policy.h"
#include "tunnel/json_text.h"

namespace hg::tunnel {

namespace json = boost::json;

namespace {

constexpr size_t kMaxWhy = 256;  // bytes

/// Without its last brace, for the policy.
std::string encode_entry(const Service& service) {
  json::object entry;
  entry["serviceHost"] = service.service_host;
  entry["servicePort"] = service.service_port;
  entry["protocol"] = static_cast<int>(service.protocol);
  entry["gatePort"] = service.gate_port;
  if (!service.tags.empty()) entry["tags"] = service.tags;
  if (!service.early) entry["early"] = false;
  entry["routes"] = json::array();
  std::string text = json::serialize(entry);
  text.pop_back();
  return text;
}

/// What a route carries: its own rules before the common ones. Empty: none.
class PolicyText {
 public:
  explicit PolicyText(const std::string& common) : common_(common) {}

  const std::string& of(const Service& service) {
    if (service.ingress_policy.empty()) {
      if (!plain_) plain_ = common_.empty() ? std::string() : merged({"{}", common_});
      return *plain_;
    }
    if (service.ingress_policy != last_own_ || last_.empty()) {
      last_own_ = service.ingress_policy;
      // Twice its own: once for the place of its rules, once for what they say.
      last_ = merged({last_own_, common_.empty() ? "{}" : common_, last_own_});
    }
    return last_;
  }

 private:
  /// A text that is no JSON denies everybody, as gateways skip such a route: here that is a rule.
  static std::string merged(const std::vector<std::string>& parts) {
    auto policy = merge_ingress_policies(parts);
    return policy ? spell_out_ingress_policy(*policy) : std::string(R"({"defaults":{"allow":false}})");
  }

  const std::string& common_;
  std::optional<std::string> plain_;
  std::string last_own_;
  std::string last_;
};

/// What follows the routes.
std::string encode_end(const Features& features, const std::optional<PublicKey>& relay) {
  json::array names;
  if (features.flow) names.emplace_back(kFeatureFlow);
  if (features.big_datagrams) names.emplace_back(kFeatureBigDatagrams);
  if (features.unordered_datagrams) names.emplace_back(kFeatureUnorderedDatagrams);
  if (features.move) names.emplace_back(kFeatureMove);
  if (features.probe) names.emplace_back(kFeatureProbe);
  if (features.early) names.emplace_back(kFeatureEarly);
  std::string end = "]";
  if (!names.empty()) end += ",\"features\":" + json::serialize(names);
  if (relay) end += ",\"relay\":\"" + to_hex(*relay) + '"';
  return end + "}";
}

/// A peer wrote parts of it: at most that much, and nothing that a terminal takes for a command.
std::string shown(std::string text) {
  text.resize(std::min(text.size(), kMaxWhy));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

/// Nothing when the entry fits, else why not.
std::optional<std::string> decode_entry(const json::value& value, Service& service) {
  const json::object* entry = value.if_object();
  if (entry == nullptr) return "not an object";
  const json::value* gate_port = entry->if_contains("gatePort");
  const json::value* service_port = entry->if_contains("servicePort");
  const json::value* host = entry->if_contains("serviceHost");
  if (gate_port == nullptr || host == nullptr || !host->is_string()) return "without gatePort or serviceHost";
  const auto port = json_port(*gate_port);
  if (!port) return "its gatePort is none";
  if (host->get_string().size() > kMaxHostBytes) return "its serviceHost is too long";
  service.gate_port = *port;
  service.service_host = std::string(host->get_string());
  service.service_port = service_port == nullptr ? 0 : json_port(*service_port).value_or(0);
  if (const json::value* protocol = entry->if_contains("protocol"); protocol != nullptr && !protocol->is_null()) {
    const auto parsed = json_protocol(*protocol);
    if (!parsed) return "its protocol is unknown";
    service.protocol = *parsed;
  }
  if (const json::value* tags = entry->if_contains("tags"); tags != nullptr && tags->is_string()) {
    if (tags->get_string().size() > kMaxTagsBytes) return "its tags are too long";
    service.tags = std::string(tags->get_string());
  }
  if (const json::value* early = entry->if_contains("early"); early != nullptr && early->is_bool()) service.early = early->get_bool();
  if (const json::value* policy = entry->if_contains("ingressPolicy"); policy != nullptr && !policy->is_null()) {
    // A policy that cannot be read must not open the route to everybody.
    service.ingress_policy = json::serialize(*policy);
    const auto read = IngressPolicy::parse(service.ingress_policy, "ingressPolicy", IngressPolicy::UnknownKeys::kIgnored);
    if (!read) return read.error().message;
  }
  return std::nullopt;
}

}  // namespace

FittedAdvertisement fit_advertisement(std::span<const Service> services, const std::string& common_policy, const Features& features,
                                      const std::optional<PublicKey>& relay, size_t most) {
  const std::string end = encode_end(features, relay);
  FittedAdvertisement fitted{"{\"routes\":[", 0};
  PolicyText policies(common_policy);
  for (size_t i = 0; i < services.size(); ++i) {
    const std::string entry = encode_entry(services[i]);
    const std::string& policy = policies.of(services[i]);
    constexpr std::string_view kPolicy = ",\"ingressPolicy\":";
    const size_t size = 1 + entry.size() + (policy.empty() ? 0 : kPolicy.size() + policy.size()) + 1;
    if (fitted.body.size() + size + end.size() > most) {
      fitted.left_out = services.size() - i;
      break;
    }
    if (i > 0) fitted.body += ',';
    fitted.body += entry;
    if (!policy.empty()) fitted.body.append(kPolicy).append(policy);
    fitted.body += '}';
  }
  fitted.body += end;
  return fitted;
}

std::string encode_advertisement(std::span<const Service> services, const Features& features, const std::optional<PublicKey>& relay) {
  return fit_advertisement(services, {}, features, relay, std::numeric_limits<size_t>::max()).body;
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
    const bool full = advertisement.routes.size() >= kMaxServices;
    if (auto fault = full ? fmt::format("more than {} of them", kMaxServices) : decode_entry(entry, service)) {
      if (advertisement.skipped++ == 0) advertisement.why_skipped = shown(std::move(*fault));
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
      if (feature.get_string() == kFeatureProbe) advertisement.features.probe = true;
      if (feature.get_string() == kFeatureEarly) advertisement.features.early = true;
    }
  }
  if (const json::value* relay = message->if_contains("relay"); relay != nullptr && relay->is_string()) {
    PublicKey key{};
    if (from_hex(std::string_view(relay->get_string()), key)) advertisement.relay = key;
  }
  return advertisement;
}

}  // namespace hg::tunnel
