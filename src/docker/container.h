// A container as `GET /containers/{id}/json` describes it, reduced to what discovery needs.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/expected.h"
#include "tunnel/frames.h"

namespace hg::docker {

struct Attachment {
  std::vector<std::string> aliases;  // as given by the user, in their order; the engine's own (the short id) left out
  std::string address;               // IPv4, else IPv6; empty: none yet
  bool operator==(const Attachment&) const = default;
};

struct ContainerPort {
  uint16_t port = 0;
  tunnel::Protocol protocol = tunnel::Protocol::kTcp;
  std::vector<uint16_t> published;  // on the host, ascending, each once
  bool operator==(const ContainerPort&) const = default;
};

struct Container {
  std::string id;        // 64 hexadecimal digits
  std::string name;      // without the leading slash
  std::string image_id;  // "sha256:…"
  bool running = false;
  bool host_network = false;
  std::map<std::string, std::string> labels;
  std::vector<ContainerPort> ports;            // EXPOSEd and published, by (port, protocol)
  std::map<std::string, Attachment> networks;  // by network name
  bool operator==(const Container&) const = default;
};

Expected<Container> parse_container(std::string_view json);

/// An entry of `GET /containers/json`.
struct ListedContainer {
  std::string id;
  std::string name;
  std::string state;  // "running", "exited", "created", …
  std::map<std::string, std::string> labels;
  std::optional<std::map<std::string, std::string>> networks;  // ids by name; nullopt: the engine does not say
};

Expected<std::vector<ListedContainer>> parse_container_list(std::string_view json);

}  // namespace hg::docker
