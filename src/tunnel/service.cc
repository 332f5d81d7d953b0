#include "tunnel/service.h"

#include <fmt/format.h>

#include <optional>

#include "tunnel/ingress_policy.h"
#include "tunnel/json_text.h"

namespace hg::tunnel {

namespace json = boost::json;

namespace {

constexpr std::string_view kPortAccepted = "a whole number from 1 to 65535";

bool is_comment_key(std::string_view key) { return key.starts_with('$') || key.starts_with('_'); }

/// Reads one entry key by key; the first fault wins.
class ServiceReader {
 public:
  ServiceReader(std::string_view name, std::string path) : name_(name), path_(std::move(path)) {}

  Expected<Service> read(const json::value& entry) {
    if (!entry.is_object()) return json_fault(name_, path_, entry, "an object with gatePort, serviceHost, servicePort and protocol");
    for (const auto& [key, value] : entry.get_object()) {
      if (!is_comment_key(key)) read_key(key, value);
      if (fault_) return std::move(*fault_);
    }
    if (service_.gate_port == 0 && service_.service_port == 0) return json_fault(name_, path_, entry, "gatePort or servicePort must be given");
    if (service_.gate_port == 0) service_.gate_port = service_.service_port;
    if (service_.service_port == 0) service_.service_port = service_.gate_port;
    return std::move(service_);
  }

 private:
  void refuse(std::string_view key, const json::value& value, std::string_view accepted) {
    fault_ = json_fault(name_, fmt::format("{}.{}", path_, key), value, accepted);
  }

  void read_port(std::string_view key, const json::value& value, uint16_t& into) {
    if (const auto port = json_port(value)) {
      into = *port;
    } else {
      refuse(key, value, kPortAccepted);
    }
  }

  void read_key(std::string_view key, const json::value& value) {
    if (key == "gatePort") return read_port(key, value, service_.gate_port);
    if (key == "servicePort") return read_port(key, value, service_.service_port);
    if (key == "serviceHost") return read_text(key, value, 1, kMaxHostBytes, service_.service_host);
    if (key == "tags") return read_text(key, value, 0, kMaxTagsBytes, service_.tags);
    if (key == "protocol") {
      const auto protocol = json_protocol(value);
      if (!protocol) return refuse(key, value, "\"tcp\" or \"udp\"");
      service_.protocol = *protocol;
      return;
    }
    if (key == "ingressPolicy") return read_policy(key, value);
    if (key == "routes" || key == "name" || key == "desc" || key == "description") return;
    refuse(key, value, "known keys are gatePort, serviceHost, servicePort, protocol, tags, ingressPolicy, desc");
  }

  void read_text(std::string_view key, const json::value& value, size_t least, size_t most, std::string& into) {
    if (!value.is_string() || value.get_string().size() < least || value.get_string().size() > most)
      return refuse(key, value, fmt::format("a string of {} to {} bytes", least, most));
    into = std::string(value.get_string());
  }

  void read_policy(std::string_view key, const json::value& value) {
    if (value.is_null()) return;
    std::string text = json::serialize(value);
    const auto policy = IngressPolicy::parse(text, fmt::format("{}: {}.{}", name_, path_, key));
    if (!policy) {
      fault_ = policy.error();
    } else {
      service_.ingress_policy = std::move(text);
    }
  }

  std::string_view name_;
  std::string path_;
  Service service_;
  std::optional<Error> fault_;
};

}  // namespace

Expected<std::vector<Service>> parse_services(std::string_view text, std::string_view name) {
  auto parsed = parse_json(text, name);
  if (!parsed) return parsed.error();
  std::string prefix = "$";
  const json::value* list = &*parsed;
  if (list->is_object()) {
    const json::value* inner = list->get_object().if_contains("services");
    if (inner == nullptr) return json_fault(name, "$", *list, "an array of services, or an object with \"services\"");
    list = inner;
    prefix = "$.services";
  }
  if (!list->is_array()) return json_fault(name, prefix, *list, "an array of services");
  const json::array& entries = list->get_array();
  if (entries.size() > kMaxServices)
    return Error{"BAD_VALUE", fmt::format("{}: {}: {} services are not accepted; at most {}", name, prefix, entries.size(), kMaxServices)};
  std::vector<Service> services;
  services.reserve(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    auto service = ServiceReader(name, fmt::format("{}[{}]", prefix, i)).read(entries[i]);
    if (!service) return service.error();
    for (size_t k = 0; k < services.size(); ++k) {
      if (services[k].gate_port == service->gate_port && services[k].protocol == service->protocol) {
        return Error{"BAD_VALUE", fmt::format("{}: {}[{}].gatePort: {} ({}) is not accepted; {}[{}] has this gate already", name, prefix, i,
                                              service->gate_port, protocol_name(service->protocol), prefix, k)};
      }
    }
    services.push_back(std::move(*service));
  }
  return services;
}

}  // namespace hg::tunnel
