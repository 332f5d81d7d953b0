#include "tunnel/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "tunnel/ingress_policy.h"
#include "tunnel/json_text.h"

namespace hg::tunnel {

namespace json = boost::json;

namespace {

constexpr std::string_view kUnixScheme = "unix:";
constexpr size_t kMaxUnixPath = 107;  // unix(7): sun_path, with its end
constexpr std::string_view kPortAccepted = "a whole number from 1 to 65535, or a range of them such as \"8000-8010\"";

struct Ports {
  uint16_t from = 0;
  uint16_t to = 0;
  size_t count() const { return from == 0 ? 0 : static_cast<size_t>(to - from) + 1; }
};

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (failure != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

std::optional<Ports> parse_ports(const json::value& value) {
  if (const auto port = json_port(value)) return Ports{*port, *port};
  if (!value.is_string()) return std::nullopt;
  const std::string_view text = value.get_string();
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto from = parse_port(text.substr(0, dash));
  const auto to = parse_port(text.substr(dash + 1));
  if (!from || !to || *from > *to) return std::nullopt;
  return Ports{*from, *to};
}

/// Not the grammar of names: what is written as in a URL, with a port or with blanks, and would be refused with each connection only.
bool plausible_host(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto stray = [](unsigned char c) { return c <= ' ' || c == 0x7f || c == '/' || c == '=' || c == '[' || c == ']'; };
  return std::none_of(host.begin(), host.end(), stray) && std::count(host.begin(), host.end(), ':') != 1;  // IPv6 has two at least
}

/// "8080", or "8000-8010" where ports are ranges: a port that stands where a host should. (A container's name may be longer digits.)
bool is_ports(std::string_view host, bool range) {
  constexpr std::string_view kDigits = "0123456789";
  const size_t dash = range ? host.find('-') : host.npos;
  const auto digits = [&](std::string_view text) { return !text.empty() && text.size() <= 5 && text.find_first_not_of(kDigits) == text.npos; };
  return dash == host.npos ? digits(host) : digits(host.substr(0, dash)) && digits(host.substr(dash + 1));
}

bool is_comment_key(std::string_view key) { return key.starts_with('$') || key.starts_with('_'); }

/// Reads one entry key by key; the first fault wins. A range of ports, or both protocols, make several services of it.
class ServiceReader {
 public:
  ServiceReader(std::string_view name, std::string path) : name_(name), path_(std::move(path)) {}

  Expected<std::vector<Service>> read(const json::value& entry) {
    if (!entry.is_object()) return json_fault(name_, path_, entry, "an object with gatePort, serviceHost, servicePort and protocol");
    for (const auto& [key, value] : entry.get_object()) {
      if (!is_comment_key(key)) read_key(key, value);
      if (fault_) return std::move(*fault_);
    }
    if (gates_.count() == 0 && services_.count() == 0) return json_fault(name_, path_, entry, "gatePort or servicePort must be given");
    if (is_ports(service_.service_host, services_.count() > 1)) return port_for_host();
    if (gates_.count() == 0) gates_ = services_;
    if (services_.count() == 0) services_ = gates_;
    if (gates_.count() != services_.count())
      return json_fault(name_, path_ + ".servicePort", *entry.get_object().if_contains("servicePort"), "a range as long as gatePort's");
    const bool udp = std::find(protocols_.begin(), protocols_.end(), Protocol::kUdp) != protocols_.end();
    if (udp && service_.proxy_header == ProxyHeader::kV1)
      return json_fault(name_, path_ + ".proxyProtocol", json::value("v1"), "a UDP service takes \"v2\" or \"v2-each\"");
    const std::string_view path = unix_socket_path(service_.service_host);
    if (!path.empty() && (udp || path.front() != '/' || path.size() > kMaxUnixPath))
      return json_fault(name_, path_ + ".serviceHost", json::value(service_.service_host),
                        "a Unix socket is a TCP service with an absolute path of at most 107 bytes");
    if (path.empty() && !plausible_host(service_.service_host))
      return json_fault(name_, path_ + ".serviceHost", json::value(service_.service_host),
                        "a name or an IP address alone, such as db.lan, 127.0.0.1 or ::1 (the port is servicePort), or unix:/path");
    return expand();
  }

 private:
  std::vector<Service> expand() const {
    std::vector<Service> expanded;
    for (size_t i = 0; i < gates_.count(); ++i) {
      for (const Protocol protocol : protocols_) {
        Service& service = expanded.emplace_back(service_);
        service.gate_port = static_cast<uint16_t>(gates_.from + i);
        service.service_port = static_cast<uint16_t>(services_.from + i);
        service.protocol = protocol;
      }
    }
    return expanded;
  }

  /// As Docker writes it: 8080:80.
  Error port_for_host() const {
    const auto text = [](const Ports& ports) {
      return ports.count() == 1 ? fmt::to_string(ports.from) : fmt::format("{}-{}", ports.from, ports.to);
    };
    const std::string gate = gates_.count() == 0 ? service_.service_host : text(gates_);
    return json_fault(name_, path_ + ".serviceHost", json::value(service_.service_host),
                      fmt::format("a name or an IP address; for a port of 127.0.0.1 give {}={}", gate,
                                  services_.count() == 0 ? service_.service_host : text(services_)));
  }

  void refuse(std::string_view key, const json::value& value, std::string_view accepted) {
    fault_ = json_fault(name_, fmt::format("{}.{}", path_, key), value, accepted);
  }

  void read_ports(std::string_view key, const json::value& value, Ports& into) {
    if (const auto ports = parse_ports(value)) {
      into = *ports;
    } else {
      refuse(key, value, kPortAccepted);
    }
  }

  void read_key(std::string_view key, const json::value& value) {
    if (key == "gatePort") return read_ports(key, value, gates_);
    if (key == "servicePort") return read_ports(key, value, services_);
    if (key == "serviceHost") return read_text(key, value, 1, kMaxHostBytes, service_.service_host);
    if (key == "tags") return read_text(key, value, 0, kMaxTagsBytes, service_.tags);
    if (key == "protocol") {
      const auto protocol = json_protocol(value);
      const bool both = value.is_string() && (value.get_string() == "tcp+udp" || value.get_string() == "udp+tcp");
      if (!protocol && !both) return refuse(key, value, "\"tcp\", \"udp\" or \"tcp+udp\"");
      protocols_ = both ? std::vector{Protocol::kTcp, Protocol::kUdp} : std::vector{*protocol};
      return;
    }
    if (key == "ingressPolicy") return read_policy(key, value);
    if (key == "proxyProtocol") return read_proxy_header(key, value);
    if (key == "early") return read_early(key, value);
    if (key == "routes" || key == "name" || key == "desc" || key == "description") return;
    refuse(key, value, "known keys are gatePort, serviceHost, servicePort, protocol, tags, ingressPolicy, proxyProtocol, early, desc");
  }

  void read_proxy_header(std::string_view key, const json::value& value) {
    if (value.is_null()) return;
    const std::string_view text = value.is_string() ? std::string_view(value.get_string()) : std::string_view();
    if (text != "v1" && text != "v2" && text != "v2-each") return refuse(key, value, "\"v1\" or \"v2\" (UDP: \"v2\" or \"v2-each\")");
    service_.proxy_header = text == "v1" ? ProxyHeader::kV1 : text == "v2" ? ProxyHeader::kV2 : ProxyHeader::kV2Each;
  }

  void read_early(std::string_view key, const json::value& value) {
    if (!value.is_bool()) return refuse(key, value, "true or false");
    service_.early = value.get_bool();
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
  Ports gates_;
  Ports services_;
  std::vector<Protocol> protocols_{Protocol::kTcp};
  std::optional<Error> fault_;
};

}  // namespace

std::string_view unix_socket_path(std::string_view service_host) {
  return service_host.starts_with(kUnixScheme) ? service_host.substr(kUnixScheme.size()) : std::string_view();
}

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
  std::map<std::pair<uint16_t, Protocol>, size_t> gates;  // and the entry that has it
  for (size_t i = 0; i < entries.size(); ++i) {
    auto read = ServiceReader(name, fmt::format("{}[{}]", prefix, i)).read(entries[i]);
    if (!read) return read.error();
    for (Service& service : *read) {
      const auto [taken, fresh] = gates.try_emplace(std::pair(service.gate_port, service.protocol), i);
      if (!fresh) {
        return Error{"BAD_VALUE", fmt::format("{}: {}[{}].gatePort: {} ({}) is not accepted; {}[{}] has this gate already", name, prefix, i,
                                              service.gate_port, protocol_name(service.protocol), prefix, taken->second)};
      }
      if (services.size() >= kMaxServices)
        return Error{"BAD_VALUE", fmt::format("{}: {}[{}].gatePort: more than {} gates are not accepted", name, prefix, i, kMaxServices)};
      services.push_back(std::move(service));
    }
  }
  return services;
}

}  // namespace hg::tunnel
