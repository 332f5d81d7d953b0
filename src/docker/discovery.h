// From containers to services: which ports of which containers a provider offers, and under which names. Pure functions.
//
//   EXPOSEd and published ports ─▶ less hypergate.UNEXPOSE ─▶ plus hypergate.EXPOSE ─▶ services
//
//   hypergate.EXCLUDE="true|false"                       leaves the container out
//   hypergate.UNEXPOSE="port[/protocol],…" or "*"        takes EXPOSEd ports away (published ones stay)
//   hypergate.EXPOSE="port[:public port][/protocol],…"   adds ports
//
// A port is offered under its own number, as on a Docker network; a published one (-p) also under its public number, with the tag
// "published". `EXPOSE=port:public` offers the public number alone.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "docker/container.h"
#include "tunnel/service.h"

namespace hg::docker {

inline constexpr const char* kLabelExclude = "hypergate.EXCLUDE";
inline constexpr const char* kLabelExpose = "hypergate.EXPOSE";
inline constexpr const char* kLabelUnexpose = "hypergate.UNEXPOSE";
/// On helper gateways: the short router name they serve.
inline constexpr const char* kLabelHelper = "hypergate.helper";

struct DiscoveryRules {
  std::string network;
  std::string own_id;                       // never offered; empty: not in a container
  std::vector<std::string> excluded_names;  // a container whose name holds one of them is left out
};

struct Discovery {
  /// Service host, gate port, protocol.
  using Key = std::tuple<std::string, uint16_t, tunnel::Protocol>;

  std::vector<tunnel::Service> services;              // by Key, each once
  std::map<Key, std::vector<std::string>> addresses;  // where each is on the network: containers that share an alias are one service
  std::set<std::string> local_hosts;                  // names that containers other than helpers have on the network
  std::vector<std::string> faults;                    // one line for each label that cannot be read

  bool operator==(const Discovery&) const = default;
};

Discovery discover(std::span<const Container> containers, const DiscoveryRules& rules);

/// The first alias on `network`, else the container's name.
std::string service_host(const Container& container, const std::string& network);

}  // namespace hg::docker
