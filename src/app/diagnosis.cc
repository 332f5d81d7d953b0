#include "app/diagnosis.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>

namespace hg::app {

namespace json = boost::json;

namespace {

constexpr size_t kGoodBuffer = 2 << 20;    // bytes: 20 ms of 1 Gbit/s
constexpr size_t kSmallestGoodMtu = 1280;  // RFC 8200's minimum; what networks give without tricks is 1400 and more
constexpr int64_t kSkewWarning = 60'000;   // ms; hellos are refused beyond 15 minutes
constexpr double kLossWarning = 0.05;      // of the packets sent
constexpr uint64_t kEnoughPackets = 50;    // to speak of loss

double to_ms(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

double loss_of(const PeerFinding& peer) {
  return peer.packets_sent == 0 ? 0 : static_cast<double>(peer.packets_retransmitted) / static_cast<double>(peer.packets_sent);
}

struct NatWords {
  const char* name;
  const char* meaning;
};

NatWords nat_words(const Diagnosis& d) {
  if (d.mappings.empty()) return {"unknown", "no DHT node told how it sees us"};
  switch (d.nat) {
    case wire::kFirewallOpen:
      return {"open", d.public_address() ? "no NAT, and unasked packets come through" : "unasked packets come through the NAT"};
    case wire::kFirewallConsistent:
      if (d.public_address()) return {"consistent", "no NAT, a firewall drops unasked packets; punching works"};
      return {"consistent", "endpoint-independent mapping (RFC 4787): every node sees the same address and port; punching works"};
    case wire::kFirewallRandom:
      return {"random", "address-dependent mapping (RFC 4787), a symmetric NAT: every node sees another port"};
    default:
      return {"unknown", "too few nodes told how they see us (three are needed)"};
  }
}

const char* health_word(dht::Health health) {
  switch (health) {
    case dht::Health::kOnline:
      return "online";
    case dht::Health::kDegraded:
      return "degraded";
    case dht::Health::kOffline:
      return "offline";
  }
  return "unknown";
}

size_t answering(const Diagnosis& d) {
  return static_cast<size_t>(std::count_if(d.bootstrap.begin(), d.bootstrap.end(), [](const auto& node) { return node.rtt.has_value(); }));
}

std::string bootstrap_text(const Diagnosis& d) {
  std::string out = fmt::format("{} of {} answer", answering(d), d.bootstrap.size());
  for (const BootstrapFinding& node : d.bootstrap)
    out += node.rtt ? fmt::format("\n                  {}  {:.1f} ms", node.address.to_string(), to_ms(*node.rtt))
                    : fmt::format("\n                  {}  no answer", node.address.to_string());
  return out;
}

json::value number_or_null(const std::optional<double>& number) { return number ? json::value(*number) : json::value(); }

std::string peers_text(const Diagnosis& d) {
  std::string out = fmt::format("\n{:<16}  {:<8}  {:<7}  {:<22}  {:>9}  {:>6}  {:>5}  {:>9}\n", "PEER", "ROLE", "PATH", "ADDRESS", "RTT",
                                "LOSS", "MTU", "CLOCK");
  for (const PeerFinding& peer : d.peers)
    out += fmt::format("{:<16}  {:<8}  {:<7}  {:<22}  {:>6.1f} ms  {:>4.1f} %  {:>5}  {:>+7.1f} s\n", peer.key.substr(0, 16), peer.role,
                       peer.relayed ? "relayed" : "direct", peer.address.to_string(), to_ms(peer.rtt), loss_of(peer) * 100, peer.path_mtu,
                       static_cast<double>(peer.clock_skew_ms) / 1000);
  for (const PeerFinding& peer : d.peers)
    if (peer.relayed) out += fmt::format("{:<16}  relayed by {}\n", peer.key.substr(0, 16), peer.relayed_by.substr(0, 16));
  for (const PeerFinding& peer : d.peers)
    if (peer.up_mbps && peer.down_mbps)
      out += fmt::format("{:<16}  {:.1f} Mbit/s up, {:.1f} Mbit/s down\n", peer.key.substr(0, 16), *peer.up_mbps, *peer.down_mbps);
  if (d.peers.empty()) out += "nobody is on this router, or nobody can be reached\n";
  return out;
}

}  // namespace

bool Diagnosis::public_address() const {
  return std::any_of(mappings.begin(), mappings.end(), [this](const MappingFinding& mapping) {
    const bool loopback = mapping.seen_as.address >> 24 == 127;
    return loopback || std::find(interfaces.begin(), interfaces.end(), mapping.seen_as.address) != interfaces.end();
  });
}

bool Diagnosis::met_member() const {
  return std::any_of(peers.begin(), peers.end(), [](const PeerFinding& peer) { return peer.role != kNoHello; });
}

std::vector<std::string> Diagnosis::problems() const {
  std::vector<std::string> out;
  if (bootstrap.empty()) out.emplace_back("No bootstrap node's name has an address: is DNS working, or --bootstrap wrong?");
  if (!udp_works() && !bootstrap.empty())
    out.emplace_back("No answer over UDP: a firewall here or at the router blocks it, or the network is down. Allow outgoing UDP.");
  if (udp_works() && answering(*this) == 0)
    out.emplace_back("No bootstrap node answers, other nodes do: starting will be slow or fail. Give others with --bootstrap.");
  if (nat == wire::kFirewallRandom)
    out.emplace_back(
        "The NAT here is symmetric: peers behind another symmetric NAT are reached through a member of the router that is not.");
  if (path_mtu != 0 && path_mtu < kSmallestGoodMtu)
    out.push_back(fmt::format("Packets above {} bytes vanish on the way (path MTU): expect less speed.", path_mtu));
  if (socket.receive_buffer < kGoodBuffer)
    out.push_back(fmt::format("The UDP receive buffer is {} KiB: fast transfers lose packets. Raise net.core.rmem_max to {}.",
                              socket.receive_buffer / 1024, kGoodBuffer));
  if (asked_router && udp_works() && !met_member())
    out.emplace_back(
        "No member of this router answers. Is a provider or gateway running, with this secret, and with a clock that is right within 15 "
        "minutes?");
  for (const PeerFinding& peer : peers) {
    if (std::abs(peer.clock_skew_ms) > kSkewWarning)
      out.push_back(fmt::format("The clock of {} differs by {} s; beyond 15 minutes peers refuse each other. Set the clocks.",
                                peer.key.substr(0, 16), peer.clock_skew_ms / 1000));
    if (peer.packets_sent >= kEnoughPackets && loss_of(peer) > kLossWarning)
      out.push_back(fmt::format("{:.0f} % of the packets to {} were lost.", loss_of(peer) * 100, peer.key.substr(0, 16)));
  }
  return out;
}

std::string to_text(const Diagnosis& d) {
  const NatWords nat = nat_words(d);
  std::string out;
  const auto line = [&out](const char* what, const std::string& found) { out += fmt::format("{:<16}  {}\n", what, found); };
  line("UDP", d.udp_works() ? "works" : "no answer");
  line("bootstrap", bootstrap_text(d));
  line("DHT", fmt::format("{}, nodes known: {}, answers: {}, time-outs: {}", health_word(d.dht_health), d.dht_nodes, d.dht_responses,
                          d.dht_timeouts));
  line("public address",
       d.mappings.empty() ? "unknown" : d.mappings.front().seen_as.host() + (d.public_address() ? " (an interface here)" : ""));
  line("NAT", fmt::format("{}: {}", nat.name, nat.meaning));
  for (const MappingFinding& mapping : d.mappings)
    line("", fmt::format("{} sees us as {}", mapping.by.to_string(), mapping.seen_as.to_string()));
  line("MTU", fmt::format("interface {}, path {}", d.interface_mtu == 0 ? "unknown" : std::to_string(d.interface_mtu),
                          d.path_mtu == 0 ? "unknown" : std::to_string(d.path_mtu)));
  line("UDP buffers", fmt::format("receive {} KiB, send {} KiB", d.socket.receive_buffer / 1024, d.socket.send_buffer / 1024));
  line("UDP offload", fmt::format("GSO {}, GRO {}", d.socket.gso ? "yes" : "no", d.socket.gro ? "yes" : "no"));
  if (d.asked_router) out += peers_text(d);
  const std::vector<std::string> problems = d.problems();
  out += problems.empty() ? "\nNothing stands in the way.\n" : "\n";
  for (const std::string& problem : problems) out += "! " + problem + "\n";
  return out;
}

std::string to_json(const Diagnosis& d) {
  json::object out;
  out["udp"] = d.udp_works();
  json::array& bootstrap = out["bootstrap"].emplace_array();
  for (const BootstrapFinding& node : d.bootstrap)
    bootstrap.push_back({{"address", node.address.to_string()}, {"rttMs", node.rtt ? json::value(to_ms(*node.rtt)) : json::value()}});
  out["dht"] = {
      {"health", health_word(d.dht_health)}, {"nodes", d.dht_nodes}, {"responses", d.dht_responses}, {"timeouts", d.dht_timeouts}};
  json::array seen;
  for (const MappingFinding& mapping : d.mappings) seen.push_back({{"by", mapping.by.to_string()}, {"as", mapping.seen_as.to_string()}});
  out["nat"] = {{"kind", nat_words(d).name}, {"publicAddress", d.public_address()}, {"seen", std::move(seen)}};
  out["address"] = d.mappings.empty() ? json::value() : json::value(d.mappings.front().seen_as.host());
  out["mtu"] = {{"interface", d.interface_mtu}, {"path", d.path_mtu}};
  out["socket"] = {
      {"receiveBuffer", d.socket.receive_buffer}, {"sendBuffer", d.socket.send_buffer}, {"gso", d.socket.gso}, {"gro", d.socket.gro}};
  if (d.asked_router) {
    json::array& peers = out["peers"].emplace_array();
    for (const PeerFinding& peer : d.peers)
      peers.push_back({{"peer", peer.key},
                       {"role", peer.role},
                       {"address", peer.address.to_string()},
                       {"relayed", peer.relayed},
                       {"relayedBy", peer.relayed ? json::value(peer.relayed_by) : json::value()},
                       {"rttMs", to_ms(peer.rtt)},
                       {"loss", loss_of(peer)},
                       {"pathMtu", peer.path_mtu},
                       {"clockSkewMs", peer.clock_skew_ms},
                       {"upMbps", number_or_null(peer.up_mbps)},
                       {"downMbps", number_or_null(peer.down_mbps)}});
  }
  json::array& problems = out["problems"].emplace_array();
  for (const std::string& problem : d.problems()) problems.push_back(json::string(problem));
  return json::serialize(out);
}

}  // namespace hg::app
