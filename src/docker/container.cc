#include "docker/container.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <optional>

namespace hg::docker {

namespace json = boost::json;

namespace {

constexpr size_t kShortIdDigits = 12;
constexpr size_t kMaxPorts = 4096;  // of one container

const json::object& object_at(const json::object& parent, std::string_view key) {
  static const json::object none;
  const json::value* value = parent.if_contains(key);
  return value != nullptr && value->is_object() ? value->get_object() : none;
}

std::string text_at(const json::object& parent, std::string_view key) {
  const json::value* value = parent.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

bool true_at(const json::object& parent, std::string_view key) {
  const json::value* value = parent.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

std::map<std::string, std::string> texts_of(const json::object& object) {
  std::map<std::string, std::string> texts;
  for (const auto& [key, value] : object)
    if (value.is_string()) texts[std::string(key)] = std::string(value.get_string());
  return texts;
}

std::map<std::string, std::string> network_ids(const json::object& networks) {
  std::map<std::string, std::string> ids;
  for (const auto& [name, network] : networks)
    if (network.is_object()) ids[std::string(name)] = text_at(network.get_object(), "NetworkID");
  return ids;
}

std::string without_slash(std::string name) {
  if (name.starts_with('/')) name.erase(0, 1);
  return name;
}

std::optional<uint16_t> port_number(std::string_view text) {
  uint16_t port = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (failure != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// "80/tcp"; other protocols (sctp) are none of ours.
std::optional<ContainerPort> parse_port_key(std::string_view key) {
  const size_t slash = key.find('/');
  const std::string_view protocol = slash == std::string_view::npos ? "tcp" : key.substr(slash + 1);
  const auto port = port_number(key.substr(0, slash));
  if (!port || (protocol != "tcp" && protocol != "udp")) return std::nullopt;
  return ContainerPort{*port, protocol == "udp" ? tunnel::Protocol::kUdp : tunnel::Protocol::kTcp, {}};
}

class PortList {
 public:
  ContainerPort* at(std::string_view key) {
    const auto parsed = parse_port_key(key);
    if (!parsed) return nullptr;
    for (ContainerPort& known : ports_)
      if (known.port == parsed->port && known.protocol == parsed->protocol) return &known;
    if (ports_.size() >= kMaxPorts) return nullptr;
    return &ports_.emplace_back(*parsed);
  }

  void publish(ContainerPort& port, const json::value& bindings) {
    if (!bindings.is_array()) return;
    for (const json::value& binding : bindings.get_array()) {
      if (!binding.is_object()) continue;
      const auto published = port_number(text_at(binding.get_object(), "HostPort"));
      if (published && port.published.size() < kMaxPorts) port.published.push_back(*published);
    }
    std::sort(port.published.begin(), port.published.end());
    port.published.erase(std::unique(port.published.begin(), port.published.end()), port.published.end());  // IPv4 and IPv6 of one port
  }

  std::vector<ContainerPort> sorted() && {
    std::sort(ports_.begin(), ports_.end(),
              [](const ContainerPort& a, const ContainerPort& b) { return std::tie(a.port, a.protocol) < std::tie(b.port, b.protocol); });
    return std::move(ports_);
  }

 private:
  std::vector<ContainerPort> ports_;
};

Attachment read_attachment(const json::object& object, const std::string& id) {
  Attachment attachment;
  attachment.address = text_at(object, "IPAddress");
  if (attachment.address.empty()) attachment.address = text_at(object, "GlobalIPv6Address");
  if (const json::value* aliases = object.if_contains("Aliases"); aliases != nullptr && aliases->is_array())
    for (const json::value& alias : aliases->get_array())
      if (alias.is_string() && alias.get_string() != std::string_view(id).substr(0, kShortIdDigits) && !alias.get_string().empty())
        attachment.aliases.emplace_back(alias.get_string());
  return attachment;
}

}  // namespace

Expected<Container> parse_container(std::string_view text) {
  boost::system::error_code code;
  const json::value parsed = json::parse(json::string_view(text.data(), text.size()), code);
  if (code || !parsed.is_object()) return Error{"ENGINE", "the Docker Engine describes a container in a form that is no JSON object"};
  const json::object& root = parsed.get_object();
  const json::object& config = object_at(root, "Config");
  const json::object& network = object_at(root, "NetworkSettings");
  Container container;
  container.id = text_at(root, "Id");
  container.name = without_slash(text_at(root, "Name"));
  container.image_id = text_at(root, "Image");
  container.running = true_at(object_at(root, "State"), "Running");
  container.host_network = text_at(object_at(root, "HostConfig"), "NetworkMode") == "host";
  container.labels = texts_of(object_at(config, "Labels"));
  PortList ports;
  for (const auto& entry : object_at(config, "ExposedPorts")) ports.at(entry.key());
  for (const auto& entry : object_at(network, "Ports"))
    if (ContainerPort* port = ports.at(entry.key())) ports.publish(*port, entry.value());
  container.ports = std::move(ports).sorted();
  for (const auto& entry : object_at(network, "Networks"))
    if (entry.value().is_object()) container.networks[std::string(entry.key())] = read_attachment(entry.value().get_object(), container.id);
  if (container.id.empty()) return Error{"ENGINE", "the Docker Engine describes a container without an id"};
  return container;
}

Expected<std::vector<ListedContainer>> parse_container_list(std::string_view text) {
  boost::system::error_code code;
  const json::value parsed = json::parse(json::string_view(text.data(), text.size()), code);
  if (code || !parsed.is_array()) return Error{"ENGINE", "the Docker Engine lists its containers in a form that is no JSON array"};
  std::vector<ListedContainer> list;
  for (const json::value& value : parsed.get_array()) {
    if (!value.is_object()) continue;
    const json::object& entry = value.get_object();
    ListedContainer listed;
    listed.id = text_at(entry, "Id");
    listed.state = text_at(entry, "State");
    listed.labels = texts_of(object_at(entry, "Labels"));
    if (const json::value* names = entry.if_contains("Names"); names != nullptr && names->is_array() && !names->get_array().empty())
      if (const json::value& name = names->get_array()[0]; name.is_string()) listed.name = without_slash(std::string(name.get_string()));
    if (const json::object& settings = object_at(entry, "NetworkSettings"); settings.contains("Networks"))
      listed.networks = network_ids(object_at(settings, "Networks"));
    if (!listed.id.empty()) list.push_back(std::move(listed));
  }
  return list;
}

}  // namespace hg::docker
