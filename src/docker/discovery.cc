#include "docker/discovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace hg::docker {

namespace {

using tunnel::Protocol;
using tunnel::Service;

// Label values are often quoted once too often for the shell that set them.
std::string_view bare(std::string_view text) {
  constexpr std::string_view kAround = " \t\"'\\";
  const size_t first = text.find_first_not_of(kAround);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kAround) - first + 1);
}

bool says_yes(std::string_view text) {
  std::string lower(bare(text));
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower == "true" || lower == "1" || lower == "yes" || lower == "on";
}

std::optional<uint16_t> read_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (failure != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// One item of EXPOSE or UNEXPOSE. Port 0 stands for "*".
struct LabelItem {
  uint16_t port = 0;
  std::optional<uint16_t> public_port;
  std::optional<Protocol> protocol;
};

std::optional<LabelItem> read_item(std::string_view text) {
  LabelItem item;
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    const std::string_view protocol = text.substr(slash + 1);
    if (protocol != "tcp" && protocol != "udp") return std::nullopt;
    item.protocol = protocol == "udp" ? Protocol::kUdp : Protocol::kTcp;
    text = text.substr(0, slash);
  }
  if (text == "*") return item;
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    item.public_port = read_port(text.substr(colon + 1));
    if (!item.public_port) return std::nullopt;
    text = text.substr(0, colon);
  }
  const auto port = read_port(text);
  if (!port) return std::nullopt;
  item.port = *port;
  return item;
}

class Collector {
 public:
  explicit Collector(const DiscoveryRules& rules) : rules_(rules) {}

  void add(const Container& container) {
    const auto attachment = container.networks.find(rules_.network);
    if (!container.running || attachment == container.networks.end()) return;
    if (!container.labels.contains(kLabelHelper)) {
      found_.local_hosts.insert(container.name);
      found_.local_hosts.insert(attachment->second.aliases.begin(), attachment->second.aliases.end());
    }
    if (left_out(container)) return;
    const std::vector<LabelItem> removed = items(container, kLabelUnexpose, true);
    const std::string host = service_host(container, rules_.network);
    auto offer = [&](uint16_t gate, uint16_t port, Protocol protocol, bool published) {
      add_service({gate, host, port, protocol, published ? "docker published" : "docker", {}}, attachment->second.address);
    };
    for (const ContainerPort& port : container.ports) {
      for (const uint16_t published : port.published) offer(published, port.port, port.protocol, true);
      if (!takes_away(removed, port)) offer(port.port, port.port, port.protocol, false);
    }
    for (const LabelItem& item : items(container, kLabelExpose, false))
      offer(item.public_port.value_or(item.port), item.port, item.protocol.value_or(Protocol::kTcp), item.public_port.has_value());
  }

  Discovery finish() && {
    for (const auto& [key, service] : services_) found_.services.push_back(service);
    return std::move(found_);
  }

 private:
  bool left_out(const Container& container) const {
    if (container.id == rules_.own_id || container.labels.contains(kLabelHelper)) return true;
    if (const auto label = container.labels.find(kLabelExclude); label != container.labels.end() && says_yes(label->second)) return true;
    return std::any_of(rules_.excluded_names.begin(), rules_.excluded_names.end(),
                       [&](const std::string& part) { return !part.empty() && container.name.find(part) != std::string::npos; });
  }

  std::vector<LabelItem> items(const Container& container, const char* label, bool any_allowed) {
    std::vector<LabelItem> list;
    const auto found = container.labels.find(label);
    if (found == container.labels.end()) return list;
    std::string_view rest = bare(found->second);
    while (!rest.empty()) {
      const size_t comma = std::min(rest.find(','), rest.size());
      const std::string_view text = bare(rest.substr(0, comma));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      if (text.empty()) continue;
      const auto item = read_item(text);
      const bool good = item && (any_allowed ? !item->public_port : item->port != 0);
      if (good)
        list.push_back(*item);
      else
        found_.faults.push_back(fmt::format("container {}: label {}: '{}' is not {}", container.name, label, text,
                                            any_allowed ? "port[/protocol] or *" : "port[:public port][/protocol]"));
    }
    return list;
  }

  static bool takes_away(const std::vector<LabelItem>& removed, const ContainerPort& port) {
    return std::any_of(removed.begin(), removed.end(), [&](const LabelItem& item) {
      return (item.port == 0 || item.port == port.port) && (!item.protocol || *item.protocol == port.protocol);
    });
  }

  void add_service(Service service, const std::string& address) {
    if (service.service_host.empty() || service.service_host.size() > tunnel::kMaxHostBytes) return;
    const Discovery::Key key{service.service_host, service.gate_port, service.protocol};
    if (services_.size() >= tunnel::kMaxServices && !services_.contains(key)) return;
    const auto [known, fresh] = services_.try_emplace(key, service);
    // The published port of one number with the container's own is one service.
    if (!fresh && service.service_port == known->second.service_port && service.tags.size() > known->second.tags.size())
      known->second.tags = service.tags;
    if (known->second.service_port != service.service_port || address.empty()) return;
    auto& list = found_.addresses[key];
    if (std::find(list.begin(), list.end(), address) == list.end()) list.push_back(address);
  }

  const DiscoveryRules& rules_;
  Discovery found_;
  std::map<Discovery::Key, Service> services_;
};

}  // namespace

std::string service_host(const Container& container, const std::string& network) {
  const auto attachment = container.networks.find(network);
  const bool has_alias = attachment != container.networks.end() && !attachment->second.aliases.empty();
  return has_alias ? attachment->second.aliases.front() : container.name;
}

Discovery discover(std::span<const Container> containers, const DiscoveryRules& rules) {
  Collector collector(rules);
  for (const Container& container : containers) collector.add(container);
  return std::move(collector).finish();
}

}  // namespace hg::docker
