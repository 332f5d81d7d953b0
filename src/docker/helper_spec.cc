#include "docker/helper_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "docker/discovery.h"
#include "docker/tar.h"

namespace hg::docker {

namespace json = boost::json;

namespace {

constexpr uint32_t kUser = 65532;    // "nonroot" of distroless images; needs no entry in /etc/passwd
constexpr size_t kMaxHostname = 63;  // sethostname(2) takes 64 bytes, a DNS label 63
constexpr std::string_view kNameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

}  // namespace

std::string helper_name(std::string_view host, std::string_view router) { return fmt::format("{}-hypergate-gateway-{}", host, router); }

bool helper_possible(std::string_view host) {
  if (host.empty() || host.size() > tunnel::kMaxHostBytes || host == "localhost") return false;
  // The engine's container names start with a letter or a digit.
  if (std::isalnum(static_cast<unsigned char>(host.front())) == 0 || host.find_first_not_of(kNameCharacters) != std::string_view::npos)
    return false;
  const size_t dot = host.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? host : host.substr(dot + 1);
  return !last.empty() && last.find_first_not_of("0123456789") != std::string_view::npos;
}

bool filter_concerns(const std::vector<tunnel::GateMatch>& filter, std::string_view host) {
  const auto concerned = [&](const tunnel::GateMatch& match) { return match.service_host.value_or(std::string(host)) == host; };
  return filter.empty() || std::any_of(filter.begin(), filter.end(), concerned);
}

std::string helper_filter(const std::vector<tunnel::GateMatch>& filter, std::string_view host) {
  json::array list;
  for (const tunnel::GateMatch& match : filter) {
    if (match.service_host && *match.service_host != host) continue;
    json::object entry;
    entry["serviceHost"] = std::string(host);
    if (match.gate_port) entry["gatePort"] = *match.gate_port;
    if (match.service_port) entry["servicePort"] = *match.service_port;
    if (match.protocol) entry["protocol"] = *match.protocol == tunnel::Protocol::kUdp ? "udp" : "tcp";
    if (match.tags) entry["tags"] = *match.tags;
    list.push_back(std::move(entry));
  }
  if (list.empty()) list.push_back(json::object{{"serviceHost", std::string(host)}});
  return json::serialize(list);
}

std::string helper_settings(const HelperSpec& spec) {
  json::array environment;
  auto set = [&](std::string_view name, std::string_view value) { environment.push_back(json::value(fmt::format("{}={}", name, value))); };
  set("HYPERGATE_ROUTER_FILE", fmt::format("/{}", kSecretPath));
  set("HYPERGATE_GATEWAY", fmt::format("/{}", kFilterPath));
  set("HYPERGATE_LISTEN", "0.0.0.0");
  set("HYPERGATE_NO_RELAY", "true");  // the gateway that makes it does, if it may, within one bandwidth
  for (const auto& [name, value] : spec.environment) set(name, value);

  json::object settings;
  settings["Image"] = spec.image;
  if (spec.host.size() <= kMaxHostname) settings["Hostname"] = spec.host;
  settings["User"] = fmt::format("{0}:{0}", kUser);
  settings["Env"] = std::move(environment);
  settings["Labels"] =
      json::object{{kLabelExclude, "true"}, {kLabelHelper, spec.router}, {kLabelHelperHost, spec.host}, {kLabelHelperOwner, spec.owner}};
  // It opens ports below 1024 without being root, and needs nothing else.
  settings["HostConfig"] = json::object{{"NetworkMode", spec.network},
                                        {"CapDrop", json::array{"ALL"}},
                                        {"SecurityOpt", json::array{"no-new-privileges"}},
                                        {"Sysctls", json::object{{"net.ipv4.ip_unprivileged_port_start", "0"}}}};
  settings["NetworkingConfig"] =
      json::object{{"EndpointsConfig", json::object{{spec.network, json::object{{"Aliases", json::array{json::value(spec.host)}}}}}}};
  return json::serialize(settings);
}

std::string helper_archive(std::string_view secret, std::string_view filter) {
  TarWriter tar;
  const std::string_view path = kSecretPath;
  for (size_t slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/', slash + 1))
    tar.add_folder(path.substr(0, slash), 0755);
  tar.add_file(path, 0400, kUser, secret);
  tar.add_file(kFilterPath, 0444, kUser, filter);
  return std::move(tar).finish();
}

}  // namespace hg::docker
