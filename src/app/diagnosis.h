// What `hypergate doctor` found: plain data, its verdicts, and how it is printed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/endpoint.h"
#include "base/time.h"
#include "dht/node.h"
#include "io/udp_network.h"
#include "wire/hyperdht.h"

namespace hg::app {

struct BootstrapFinding {
  Endpoint address;
  std::optional<Duration> rtt;  // nullopt: no answer
};

/// Our address as one node of the DHT sees it.
struct MappingFinding {
  Endpoint by;
  Endpoint seen_as;
};

constexpr const char* kNoHello = "?";  // the role of whom we are connected to, and who has not proved to know the secret

struct PeerFinding {
  std::string key;   // hexadecimal
  std::string role;  // gateway, provider, both; kNoHello
  Endpoint address{};
  bool relayed = false;
  std::string relayed_by{};  // hexadecimal: the member, or the relay's own key where nobody is known to have it
  Duration rtt{};
  uint64_t packets_sent = 0;
  uint64_t packets_retransmitted = 0;
  size_t path_mtu = 0;  // largest UDP payload that came through, bytes
  int64_t clock_skew_ms = 0;
  std::optional<double> up_mbps{};  // measured on request, to a provider of our kind
  std::optional<double> down_mbps{};
};

struct Diagnosis {
  io::UdpTraits socket;
  std::vector<BootstrapFinding> bootstrap;
  std::vector<MappingFinding> mappings;
  wire::Firewall nat = wire::kFirewallUnknown;
  std::vector<uint32_t> interfaces;
  size_t interface_mtu = 0;  // IP packet towards the first bootstrap node, as the kernel has it; 0: unknown
  size_t path_mtu = 0;       // largest IP packet that a DHT node answered; 0: none
  size_t dht_nodes = 0;
  dht::Health dht_health = dht::Health::kOnline;
  uint64_t dht_responses = 0;
  uint64_t dht_timeouts = 0;
  bool asked_router = false;
  std::vector<PeerFinding> peers;

  bool udp_works() const { return dht_responses > 0; }
  bool met_member() const;
  /// One of our interfaces has the address that others see.
  bool public_address() const;
  /// What keeps tunnels from working well, most important first, each with what to do about it.
  std::vector<std::string> problems() const;
};

/// For people.
std::string to_text(const Diagnosis& diagnosis);
/// For programs: one JSON object in one line.
std::string to_json(const Diagnosis& diagnosis);

}  // namespace hg::app
