#include "app/status_report.h"

#include <algorithm>
#include <map>
#include <set>

#include "app/drops.h"
#include "app/network.h"
#include "app/printable.h"

namespace hg::app {

namespace json = boost::json;

namespace {

constexpr size_t kShortKeyBytes = 4;
constexpr size_t kMostTextBytes = 300;  // of a name or a reason
constexpr double kBitsPerMegabit = 1e6;

json::value text(std::string_view text) { return json::string(printable(text, kMostTextBytes)); }

/// `count`: how many there would be.
json::object listed(size_t count, json::array list) { return {{"count", count}, {"list", std::move(list)}}; }

json::value megabits(const std::optional<BothWays>& rate, double BothWays::*way) {
  return rate ? json::value((*rate).*way * 8 / kBitsPerMegabit) : json::value();
}

json::object counts(const Reasons& reasons) {
  json::object out;
  for (const auto& [reason, count] : reasons)
    if (count > 0) out[reason] = count;
  return out;
}

const char* health_name(dht::Health health) {
  return health == dht::Health::kOnline ? "online" : health == dht::Health::kDegraded ? "degraded" : "offline";
}

tunnel::Traffic payload(const tunnel::Counters& c) { return {c.bytes_to_peers, c.bytes_from_peers}; }
BothWays payload(const noise::ConnectionStats& stats) {
  return {static_cast<double>(stats.bytes_sent), static_cast<double>(stats.bytes_received)};
}

/// An open gate, one that cannot be opened, or one that stays closed.
struct GateRow {
  tunnel::Gate gate;
  std::string address;
  std::string fault;  // empty: open
  size_t clients = 0;
  std::shared_ptr<const tunnel::Traffic> traffic;  // null: none
  uint64_t bytes() const { return traffic == nullptr ? 0 : traffic->both(); }
};

struct ServiceRow {
  const tunnel::Service* service;
  tunnel::ServiceHealth health;
  bool failing() const { return health.refused > 0 && health.last_refused >= health.last_connected; }
};

class Report {
 public:
  Report(const StatusSources& sources, bool everything) : s_(sources), everything_(everything) {}

  json::object make() {
    json::object out{{"ready", s_.node != nullptr && s_.dht != nullptr && joined(*s_.dht)},
                     {"everything", everything_},
                     {"uptimeMs", to_ms(s_.uptime)},
                     {"router", s_.router && everything_ ? json::value(to_hex(*s_.router)) : json::value()}};
    out["dht"] = dht();
    out["roles"] = json::array();
    for (const char* part : {"traffic", "peers", "routes", "gates", "services", "refused", "unlimited", "relay"}) out[part] = nullptr;
    if (s_.node != nullptr) add_node(out);
    if (s_.relay) out["relay"] = relay(*s_.relay);
    out["warnings"] = warnings();
    return out;
  }

 private:
  void add_node(json::object& out) {
    peers_ = s_.node->peer_figures();
    for (const tunnel::PeerInfo& peer : peers_)
      if (!peer.answering) silent_.insert(peer.key);
    out["traffic"] = traffic();
    out["peers"] = peers();
    out["refused"] = refused();
    if (const tunnel::Provider* provider = s_.node->provider()) {
      out["roles"].as_array().emplace_back("provider");
      out["services"] = services(*provider);
    }
    if (const tunnel::Gateway* gateway = s_.node->gateway()) {
      out["roles"].as_array().emplace_back("gateway");
      out["routes"] = routes(*gateway);
      out["gates"] = gates(*gateway);
      out["unlimited"] = unlimited(*gateway);
    }
  }

  json::value told(std::string_view value) const { return everything_ ? text(value) : json::value(); }
  json::value told(uint16_t port) const { return everything_ ? json::value(port) : json::value(); }
  json::string name(const PublicKey& key) const {
    return json::string(to_hex(everything_ ? ByteView(key) : ByteView(key).first(kShortKeyBytes)));
  }
  json::value ago(TimePoint then) const { return to_ms(s_.now - then); }

  json::value dht() const {
    if (s_.dht == nullptr) return nullptr;
    return {{"nodes", s_.dht->table_size()},
            {"health", s_.dht->ready() ? health_name(s_.dht->health()) : "starting"},
            {"firewalled", s_.dht->firewalled()}};
  }

  json::object traffic() const {
    const tunnel::Counters& c = s_.node->counters();
    json::object out{{"channels", c.channels_open}, {"channelsTotal", c.channels_opened}};
    add(out, payload(c), s_.rate == nullptr ? std::nullopt : s_.rate->total(both_ways(payload(c))));
    return out;
  }

  static void add(json::object& out, const tunnel::Traffic& traffic, const std::optional<BothWays>& rate) {
    out["bytesToPeers"] = traffic.to_peers;
    out["bytesFromPeers"] = traffic.from_peers;
    out["mbpsToPeers"] = megabits(rate, &BothWays::out);
    out["mbpsFromPeers"] = megabits(rate, &BothWays::in);
  }
  /// `part`: null: it has carried nothing yet.
  void add(json::object& out, const std::shared_ptr<const tunnel::Traffic>& part) const {
    add(out, part == nullptr ? tunnel::Traffic() : *part, s_.rate == nullptr ? std::nullopt : s_.rate->of_part(part));
  }

  json::object peers() {
    const auto rank = [](const tunnel::PeerInfo& peer) { return std::tuple(peer.ready, peer.answering, peer.key); };
    std::sort(peers_.begin(), peers_.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    json::array list;
    for (const tunnel::PeerInfo& peer : peers_)
      if (list.size() < kMostListed) list.push_back(describe(peer));
    return listed(peers_.size(), std::move(list));
  }

  json::object describe(const tunnel::PeerInfo& peer) const {
    const tunnel::Offers* offers = s_.node->gateway() == nullptr ? nullptr : s_.node->gateway()->offers(peer.key);
    const bool offers_any = offers != nullptr && offers->routes > 0;
    const noise::ConnectionStats& stats = peer.stats;
    const double sent = static_cast<double>(std::max<uint64_t>(stats.packets_sent, 1));
    const auto rate = s_.rate == nullptr ? std::nullopt : s_.rate->of_peer(peer.key, payload(stats));
    return {{"peer", name(peer.key)},
            {"role", !peer.ready        ? json::value()
                     : !peer.is_gateway ? "provider"
                     : offers_any       ? "both"
                                        : "gateway"},
            {"answering", peer.answering},
            {"relayed", stats.relayed},
            {"relay", stats.relay ? json::value(name(*stats.relay)) : json::value()},
            {"address", told(stats.remote.to_string())},
            {"rttMs", to_seconds(stats.smoothed_rtt) * 1000},
            {"loss", static_cast<double>(stats.packets_retransmitted) / sent},
            {"connectedMs", ago(peer.since)},
            {"channels", peer.channels},
            {"routes", offers == nullptr ? json::value() : json::value(offers->routes)},
            {"bytesToPeer", stats.bytes_sent},
            {"bytesFromPeer", stats.bytes_received},
            {"mbpsToPeer", megabits(rate, &BothWays::out)},
            {"mbpsFromPeer", megabits(rate, &BothWays::in)}};
  }

  /// Of all that peers offer.
  json::object routes(const tunnel::Gateway& gateway) const {
    tunnel::Offers sum;
    size_t silent = 0;
    for (const tunnel::PeerInfo& peer : peers_) {
      const tunnel::Offers* offers = gateway.offers(peer.key);
      if (offers == nullptr) continue;
      sum.routes += offers->routes;
      sum.unusable += offers->unusable;
      sum.filtered += offers->filtered;
      if (!peer.answering) silent += offers->routes;
    }
    return {{"offered", sum.routes}, {"filtered", sum.filtered}, {"silent", silent}, {"unusable", sum.unusable}};
  }

  std::vector<GateRow> gate_rows(const tunnel::Gateway& gateway) const {
    std::vector<GateRow> rows;
    std::set<tunnel::GateKey> known;
    if (s_.gates != nullptr) {
      for (relay::GateStatus& status : s_.gates->status()) {
        known.insert(status.gate.key);
        const std::string fault = status.listening ? "" : status.fault.empty() ? "the program is stopping" : status.fault;
        auto traffic = gateway.traffic().find(status.gate.key);
        rows.push_back({std::move(status.gate), std::move(status.address), fault, status.clients, std::move(traffic)});
      }
    }
    for (const tunnel::PeerInfo& peer : peers_) {
      const tunnel::Offers* offers = gateway.offers(peer.key);
      if (offers == nullptr) continue;
      const auto add = [&](const tunnel::Service& service, const char* fault) {
        const tunnel::GateKey key{service.gate_port, service.protocol};
        if (!known.insert(key).second) return;
        rows.push_back({{key, service.service_host, service.service_port, service.tags, {peer.key}, {}}, {}, fault, 0, nullptr});
      };
      for (const tunnel::Service& service : offers->looping)
        add(service, "it would be its own service's address; give the service another gatePort");
      for (const tunnel::Service& service : offers->unknown) add(service, "looking up whether it would be its own service's address");
    }
    const bool cut = rows.size() > kMostListed;
    const auto rank = [&](const GateRow& row) {
      return std::tuple(row.fault.empty(), row.gate.conflicts.empty(), cut ? ~row.bytes() : 0, row.gate.key);
    };
    std::sort(rows.begin(), rows.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    return rows;
  }

  json::object gates(const tunnel::Gateway& gateway) const {
    const std::vector<GateRow> rows = gate_rows(gateway);
    json::array list;
    for (const GateRow& row : rows)
      if (list.size() < kMostListed) list.push_back(describe(row));
    json::object out = listed(rows.size(), std::move(list));
    out["open"] = std::count_if(rows.begin(), rows.end(), [](const GateRow& row) { return row.fault.empty(); });
    out["clients"] = s_.gates == nullptr ? 0 : s_.gates->clients();
    return out;
  }

  json::object describe(const GateRow& row) const {
    const tunnel::Gate& gate = row.gate;
    json::array providers;
    json::array conflicts;
    for (const PublicKey& provider : gate.providers)
      if (providers.size() < kMostNamed) providers.push_back(name(provider));
    for (const std::string& host : gate.conflicts)
      if (everything_ && conflicts.size() < kMostNamed) conflicts.push_back(text(host));
    const auto silent =
        std::count_if(gate.providers.begin(), gate.providers.end(), [this](const auto& key) { return silent_.contains(key); });
    json::object out{{"port", gate.key.port},
                     {"protocol", tunnel::protocol_name(gate.key.protocol)},
                     {"open", row.fault.empty()},
                     {"fault", row.fault.empty() ? json::value() : told(row.fault)},
                     {"address", row.address.empty() ? json::value() : told(row.address)},
                     {"serviceHost", told(gate.service_host)},
                     {"servicePort", told(gate.service_port)},
                     {"providers", listed(gate.providers.size(), std::move(providers))},
                     {"silentProviders", silent},
                     {"conflicts", listed(gate.conflicts.size(), std::move(conflicts))},
                     {"clients", row.clients}};
    add(out, row.traffic);
    return out;
  }

  json::object services(const tunnel::Provider& provider) const {
    std::vector<ServiceRow> rows;
    for (const tunnel::Service& service : provider.services()) rows.push_back({&service, provider.health(service)});
    const bool cut = rows.size() > kMostListed;
    const auto rank = [&](const ServiceRow& row) { return std::tuple(!row.failing(), cut ? ~row.health.traffic->both() : 0); };
    std::stable_sort(rows.begin(), rows.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    json::array list;
    for (const ServiceRow& row : rows)
      if (list.size() < kMostListed) list.push_back(describe(row));
    return listed(rows.size(), std::move(list));
  }

  json::object describe(const ServiceRow& row) const {
    const tunnel::ServiceHealth& health = row.health;
    const bool tried = health.connected + health.refused > 0;
    json::object out{{"gatePort", row.service->gate_port},
                     {"protocol", tunnel::protocol_name(row.service->protocol)},
                     {"serviceHost", told(row.service->service_host)},
                     {"servicePort", told(row.service->service_port)},
                     {"works", tried ? json::value(!row.failing()) : json::value()},
                     {"connected", health.connected},
                     {"connectedMsAgo", health.connected > 0 ? ago(health.last_connected) : json::value()},
                     {"refused", health.refused},
                     {"refusedMsAgo", health.refused > 0 ? ago(health.last_refused) : json::value()},
                     {"refusedWhy", health.refused > 0 ? told(health.why_refused) : json::value()}};
    add(out, health.traffic);
    return out;
  }

  json::object refused() const {
    const tunnel::Counters& c = s_.node->counters();
    return {{"channels", counts(refused_channels(c))},
            {"channelsDropped", counts(dropped_channels(c))},
            {"datagramsDropped", counts(dropped_datagrams(c))},
            {"messages", counts(refused_messages(c))}};
  }

  json::object unlimited(const tunnel::Gateway& gateway) const {
    const std::vector<tunnel::Override> overrides = gateway.admissions().overrides();
    json::array list;
    for (const tunnel::Override& one : overrides)
      if (list.size() < kMostListed) list.push_back({{"ip", told(one.client)}, {"leftMs", one.until_ms - s_.wall_ms}});
    return listed(overrides.size(), std::move(list));
  }

  static json::object relay(const RelayFigures& relay) {
    return {{"serving", relay.serving},
            {"pairs", relay.open_pairs},
            {"pairsTotal", relay.totals.pairs},
            {"bytes", relay.totals.traffic.bytes},
            {"packetsDropped", relay.totals.traffic.dropped},
            {"refused", relay.totals.refused}};
  }

  json::object warnings() const {
    json::array list;
    for (const RecentWarnings::Line& line : s_.warnings.lines())
      list.push_back({{"msAgo", ago(line.at)},
                      {"level", line.error ? "error" : "warning"},
                      {"component", json::string(line.component)},
                      {"message", everything_ ? json::value(json::string(line.message)) : json::value()}});
    return listed(s_.warnings.count(), std::move(list));
  }

  const StatusSources& s_;
  const bool everything_;
  std::vector<tunnel::PeerInfo> peers_;
  std::set<PublicKey> silent_;
};

}  // namespace

json::object status_report(const StatusSources& sources, bool everything) { return Report(sources, everything).make(); }

TrafficRate::Reading read_traffic(const tunnel::Node& node) {
  TrafficRate::Reading reading{both_ways(payload(node.counters())), {}, {}};
  for (const tunnel::PeerInfo& peer : node.peer_figures()) reading.peers[peer.key] = payload(peer.stats);
  if (const tunnel::Gateway* gateway = node.gateway())
    for (const auto& [gate, traffic] : gateway->traffic().all()) reading.parts.emplace(traffic, both_ways(*traffic));
  if (const tunnel::Provider* provider = node.provider())
    for (const auto& [service, health] : provider->health()) reading.parts.emplace(health->traffic, both_ways(*health->traffic));
  return reading;
}

}  // namespace hg::app
