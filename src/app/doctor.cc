#include "app/doctor.h"

#include <cstdio>
#include <map>

#include "app/diagnosis.h"
#include "app/router_visit.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "nat/sampler.h"

namespace hg::app {

namespace {

constexpr Duration kReadyLimit = 5s;
constexpr Duration kAnswerLimit = 4s;  // above what three attempts of a request take
constexpr Duration kVisitLimit = 20s;
constexpr Duration kMtuPatience = 3s;  // for the path-MTU search of fresh connections
constexpr Duration kProbeLimit = 20s;
constexpr Duration kProbeEnough = 1s;
constexpr Duration kCloseLimit = 3s;
constexpr size_t kAskedNodes = 8;
constexpr size_t kIpUdpHeader = 28;
// IPv4 packets: Ethernet, PPPoE, common tunnels, RFC 8200's minimum, UDX's base.
constexpr size_t kPacketSizes[] = {1500, 1492, 1460, 1420, 1400, 1280, 1200};
constexpr size_t kRpcPingOverhead = 14;  // dht-rpc 6.27: type, flags, tid, to, command, three bytes of the value's length

class Doctor {
 public:
  Doctor(io::Loop& loop, const Config& config) : loop_(loop), config_(config), network_(loop) {}

  int run() {
    if (auto traits = io::probe_udp_traits()) found_.socket = *traits;
    if (auto opened = network_.open(config_); !opened) {
      HG_LOG(kError, "doctor", "{}", opened.error().message);
      return 1;
    }
    found_.interfaces = loop_.network().interface_addresses();
    ask_bootstrap();
    loop_.run_until([&] { return network_.dht().ready() && found_.dht_responses > 0; }, kReadyLimit);
    ask_nodes();
    if (config_.router) visit_router();
    note_dht();
    std::fputs(config_.json ? (to_json(found_) + "\n").c_str() : to_text(found_).c_str(), stdout);
    leave();
    return found_.udp_works() && (!found_.asked_router || found_.met_member()) ? 0 : 1;
  }

 private:
  dht::Node& node() { return network_.dht(); }

  /// Requests of this look run one attempt longer than a lost packet needs.
  static dht::RequestOptions patient() { return {.retries = 2}; }

  void ask_bootstrap() {
    bool resolved = false;
    const auto resolving = node().resolve_bootstrap(
        [this](const Endpoint& address) {
          for (const BootstrapFinding& known : found_.bootstrap)
            if (known.address == address) return;
          found_.bootstrap.push_back({address, std::nullopt});
          const size_t index = found_.bootstrap.size() - 1;
          ++waiting_;
          requests_.push_back(node().ping(
              address,
              [this, index](Expected<dht::Response> response) {
                --waiting_;
                if (response) found_.bootstrap[index].rtt = response->rtt;
              },
              patient()));
        },
        [&resolved] { resolved = true; });
    loop_.run_until([&] { return resolved && waiting_ == 0; }, kReadyLimit);
    found_.dht_responses = node().counters().responses;
  }

  /// How nodes see our client socket, and the largest packet one of them answers.
  void ask_nodes() {
    std::vector<Endpoint> nodes = node().recent_nodes(kAskedNodes);
    for (const BootstrapFinding& known : found_.bootstrap)
      if (known.rtt && nodes.size() < kAskedNodes && std::find(nodes.begin(), nodes.end(), known.address) == nodes.end())
        nodes.push_back(known.address);
    if (nodes.empty()) return;
    nat::Sampler sampler(node().firewalled());
    for (const Endpoint& to : nodes) ask_mapping(to, sampler);
    const size_t udp_payload = node().client_socket().path_mtu(nodes.front());
    found_.interface_mtu = udp_payload == 0 ? 0 : udp_payload + kIpUdpHeader;
    for (const size_t size : kPacketSizes) ask_packet(nodes.front(), size);
    loop_.run_until([&] { return waiting_ == 0; }, kAnswerLimit);
    found_.nat = sampler.firewall();
    requests_.clear();
    waiting_ = 0;
  }

  void ask_mapping(const Endpoint& to, nat::Sampler& sampler) {
    ++waiting_;
    dht::RequestOptions options = patient();
    options.socket = &node().client_socket();
    requests_.push_back(node().ping(
        to,
        [this, &sampler](Expected<dht::Response> response) {
          --waiting_;
          if (!response) return;
          sampler.add(response->to, response->from);
          found_.mappings.push_back({response->from, response->to});
        },
        options));
  }

  void ask_packet(const Endpoint& to, size_t size) {
    ++waiting_;
    dht::Command ping;
    ping.command = wire::kPing;
    ping.internal = true;
    ping.value = Bytes(size - kIpUdpHeader - kRpcPingOverhead);
    requests_.push_back(node().request(
        to, std::move(ping),
        [this, size](Expected<dht::Response> response) {
          --waiting_;
          if (response) found_.path_mtu = std::max(found_.path_mtu, size);
        },
        patient()));
  }

  void visit_router() {
    found_.asked_router = true;
    RouterVisit visit(loop_, network_, *config_.router, config_.limits);
    visit.start();
    loop_.run_until([&] { return visit.settled(); }, kVisitLimit);
    const TimePoint looked = loop_.now();
    if (!visit.node().peers().empty()) loop_.run_until([&] { return loop_.now() - looked >= kMtuPatience; }, kMtuPatience);
    if (config_.probe)
      for (const tunnel::PeerInfo& peer : visit.node().peers()) probe(visit.node(), peer);
    for (const tunnel::PeerInfo& peer : visit.node().peers()) note_peer(visit, peer);
    bool left = false;
    visit.leave([&left] { left = true; });
    loop_.run_until([&] { return left; }, kCloseLimit);
  }

  /// A second, larger measurement where the first was over before the path was full.
  void probe(tunnel::Node& node, const tunnel::PeerInfo& peer) {
    for (const uint32_t bytes : {1u << 20, 16u << 20}) {
      const auto result = std::make_shared<std::optional<tunnel::PathProbe::Result>>();  // the answer may come when we have given up
      if (!node.probe(peer.key, bytes, [result](const tunnel::PathProbe::Result& r) { *result = r; })) return;
      if (!loop_.run_until([&] { return result->has_value(); }, kProbeLimit)) return;
      speeds_[peer.key] = **result;
      if ((*result)->up + (*result)->down > kProbeEnough) return;
    }
  }

  static double mbps(uint32_t bytes, Duration time) { return bytes * 8 / 1e6 / std::max(to_seconds(time), 1e-6); }

  void note_peer(const RouterVisit& visit, const tunnel::PeerInfo& peer) {
    PeerFinding& row = found_.peers.emplace_back();
    row.key = to_hex(peer.key);
    row.role = !peer.ready ? kNoHello : !peer.is_gateway ? "provider" : peer.offers.empty() ? "gateway" : "both";
    row.address = peer.stats.remote;
    row.relayed = peer.stats.relayed;
    if (peer.stats.relay) row.relayed_by = to_hex(visit.member_relaying_as(*peer.stats.relay).value_or(*peer.stats.relay));
    row.rtt = peer.stats.smoothed_rtt;
    row.packets_sent = peer.stats.packets_sent;
    row.packets_retransmitted = peer.stats.packets_retransmitted;
    row.path_mtu = peer.stats.path_mtu;
    row.clock_skew_ms = peer.clock_skew_ms;
    const auto speed = speeds_.find(peer.key);
    if (speed == speeds_.end()) return;
    row.up_mbps = mbps(speed->second.bytes, speed->second.up - peer.stats.smoothed_rtt);
    row.down_mbps = mbps(speed->second.bytes, speed->second.down);
  }

  void note_dht() {
    found_.dht_nodes = node().table_size();
    found_.dht_health = found_.dht_responses > 0 ? node().health() : dht::Health::kOffline;
    found_.dht_responses = node().counters().responses;
    found_.dht_timeouts = node().counters().timeouts;
  }

  void leave() {
    bool left = false;
    network_.close([&] { left = true; });
    loop_.run_until([&] { return left; }, kCloseLimit);
  }

  io::Loop& loop_;
  const Config& config_;
  Network network_;
  Diagnosis found_;
  std::vector<dht::RequestHandle> requests_;
  std::map<PublicKey, tunnel::PathProbe::Result> speeds_;
  size_t waiting_ = 0;
};

}  // namespace

int run_doctor(const Config& config) {
  io::Loop loop(crypto::system_rng());
  return Doctor(loop, config).run();
}

}  // namespace hg::app
