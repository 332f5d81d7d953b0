#include "app/metrics.h"

#ifdef HG_METRICS
#include <fmt/format.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <map>
#include <vector>

#include "app/drops.h"
#include "app/network.h"
#endif

namespace hg::app {

#ifdef HG_METRICS

namespace {

using Labels = std::vector<prometheus::ClientMetric::Label>;

class Sheet {
 public:
  void gauge(const char* name, const char* help, double value, Labels labels = {}) {
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    family(name, help, prometheus::MetricType::Gauge).metric.push_back(std::move(metric));
  }
  void counter(const char* name, const char* help, double value, Labels labels = {}) {
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    metric.counter.value = value;
    family(name, help, prometheus::MetricType::Counter).metric.push_back(std::move(metric));
  }
  std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  prometheus::MetricFamily& family(const char* name, const char* help, prometheus::MetricType type) {
    if (families_.empty() || families_.back().name != name) families_.push_back({name, help, type, {}});
    return families_.back();
  }
  std::vector<prometheus::MetricFamily> families_;
};

double number(uint64_t value) { return static_cast<double>(value); }

void add_channels(Sheet& sheet, const tunnel::Counters& c) {
  sheet.gauge("hypergate_channels_open", "Channels open or being opened", number(c.channels_open));
  sheet.counter("hypergate_channels_total", "Channels opened", number(c.channels_opened));
  sheet.counter("hypergate_bytes_total", "Payload bytes through channels", number(c.bytes_to_peers), {{"direction", "to_peers"}});
  sheet.counter("hypergate_bytes_total", "Payload bytes through channels", number(c.bytes_from_peers), {{"direction", "from_peers"}});
  for (const auto& [reason, value] : refused_channels(c))
    sheet.counter("hypergate_channels_refused_total", "Channels that did not come about", number(value), {{"reason", reason}});
  for (const auto& [reason, value] : dropped_channels(c))
    sheet.counter("hypergate_channels_dropped_total", "Open channels ended by policy or limit", number(value), {{"reason", reason}});
}

void add_drops(Sheet& sheet, const tunnel::Counters& c) {
  for (const auto& [reason, value] : dropped_datagrams(c))
    sheet.counter("hypergate_datagrams_dropped_total", "Datagrams not carried", number(value), {{"reason", reason}});
  sheet.counter("hypergate_udp_flows_evicted_total", "UDP flows that made room for new ones", number(c.udp_flows_evicted));
  for (const auto& [kind, value] : refused_messages(c))
    sheet.counter("hypergate_peer_messages_refused_total", "What peers sent and was not taken", number(value), {{"kind", kind}});
  sheet.counter("hypergate_reads_paused_total", "Times a whole connection waited for a slow local reader", number(c.reads_paused));
  sheet.counter("hypergate_sessions_lost_total", "Connections to peers that broke", number(c.sessions_lost));
  sheet.counter("hypergate_sessions_silent_total", "Times a peer fell silent and was waited for", number(c.sessions_silent));
}

void add_ingress(Sheet& sheet, const tunnel::Counters& c, const tunnel::Gateway* gateway) {
  sheet.counter("hypergate_shaping_waits_total", "Times a channel waited for its client's bandwidth", number(c.shaping_waits));
  sheet.counter("hypergate_shaping_delay_seconds_total", "Sum of these waits", to_seconds(c.shaping_delay));
  sheet.counter("hypergate_unlimited_grants_total", "Overrides granted by /unlimited", number(c.overrides));
  if (gateway == nullptr) return;
  sheet.gauge("hypergate_unlimited_overrides", "Overrides in force", number(gateway->admissions().overrides().size()));
  sheet.gauge("hypergate_shaped_clients", "Token buckets in memory", number(gateway->admissions().buckets()));
  sheet.gauge("hypergate_routes", "Routes learned from providers", number(gateway->routes().size()));
  sheet.gauge("hypergate_gates", "Gates that should be open", number(gateway->gates().size()));
}

using GateBytes = std::vector<std::pair<tunnel::GateKey, tunnel::Traffic>>;

/// The most bytes first, and no more than are shown.
GateBytes busiest(GateBytes all) {
  const auto shown = all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), kMostMeasured));
  std::partial_sort(all.begin(), shown, all.end(), [](const auto& a, const auto& b) { return a.second.both() > b.second.both(); });
  all.erase(shown, all.end());
  return all;
}

std::string name(tunnel::GateKey gate) { return fmt::format("{}/{}", gate.port, tunnel::protocol_name(gate.protocol)); }

void add_bytes(Sheet& sheet, const char* metric, const char* help, const GateBytes& gates) {
  for (const auto& [gate, traffic] : gates) {
    sheet.counter(metric, help, number(traffic.to_peers), {{"gate", name(gate)}, {"direction", "to_peers"}});
    sheet.counter(metric, help, number(traffic.from_peers), {{"gate", name(gate)}, {"direction", "from_peers"}});
  }
}

void add_gates(Sheet& sheet, const tunnel::Gateway& gateway, const relay::GateSet& set) {
  GateBytes gates;
  for (const auto& [gate, traffic] : gateway.traffic().all()) gates.emplace_back(gate, *traffic);
  gates = busiest(std::move(gates));
  add_bytes(sheet, "hypergate_gate_bytes_total", "Payload bytes of a gate's clients", gates);
  for (const auto& [gate, traffic] : gates)
    sheet.gauge("hypergate_gate_clients", "Clients of a gate: connections, or flows of UDP", number(set.clients(gate)),
                {{"gate", name(gate)}});
}

/// Services that want one gate count as one.
void add_services(Sheet& sheet, const tunnel::Provider& provider) {
  std::map<tunnel::GateKey, tunnel::Traffic> sums;
  for (const auto& [service, health] : provider.health()) {
    tunnel::Traffic& sum = sums[{std::get<0>(service), std::get<1>(service)}];
    sum.to_peers += health->traffic->to_peers;
    sum.from_peers += health->traffic->from_peers;
  }
  add_bytes(sheet, "hypergate_service_bytes_total", "Payload bytes of the service behind a gate", busiest({sums.begin(), sums.end()}));
}

void add_peers(Sheet& sheet, std::vector<tunnel::PeerInfo> peers) {
  const auto gateways = std::count_if(peers.begin(), peers.end(), [](const auto& peer) { return peer.ready && peer.is_gateway; });
  const auto ready = std::count_if(peers.begin(), peers.end(), [](const auto& peer) { return peer.ready; });
  sheet.gauge("hypergate_peers", "Peers that proved to know the secret", static_cast<double>(gateways), {{"role", "gateway"}});
  sheet.gauge("hypergate_peers", "Peers that proved to know the secret", static_cast<double>(ready - gateways), {{"role", "provider"}});
  const auto silent = [&](bool gateway) {
    return static_cast<double>(std::count_if(
        peers.begin(), peers.end(), [&](const auto& peer) { return peer.ready && !peer.answering && peer.is_gateway == gateway; }));
  };
  for (const bool gateway : {true, false})
    sheet.gauge("hypergate_peers_silent", "Of these, peers that do not answer and are waited for", silent(gateway),
                {{"role", gateway ? "gateway" : "provider"}});
  const auto name = [](const tunnel::PeerInfo& peer) { return to_hex(ByteView(peer.key).first(4)); };
  for (const auto& peer : peers)
    sheet.gauge("hypergate_peer_rtt_seconds", "Smoothed round trip", to_seconds(peer.stats.smoothed_rtt), {{"peer", name(peer)}});
  for (const auto& peer : peers)
    sheet.counter("hypergate_peer_packets_sent_total", "UDX packets sent", number(peer.stats.packets_sent), {{"peer", name(peer)}});
  for (const auto& peer : peers)
    sheet.counter("hypergate_peer_packets_retransmitted_total", "UDX packets sent again", number(peer.stats.packets_retransmitted),
                  {{"peer", name(peer)}});
  for (const auto& peer : peers)
    sheet.gauge("hypergate_peer_path_mtu_bytes", "Size of IP packets on the path", number(peer.stats.path_mtu), {{"peer", name(peer)}});
  for (const auto& peer : peers)
    sheet.gauge("hypergate_peer_relayed", "1 when the connection goes through a relay", peer.stats.relayed ? 1 : 0, {{"peer", name(peer)}});
}

void add_relay(Sheet& sheet, const RelayFigures& relay) {
  sheet.gauge("hypergate_relay_serving", "1 while we relay for members that reach each other in no other way", relay.serving ? 1 : 0);
  sheet.gauge("hypergate_relay_pairs", "Pairs of peers that go through us", number(relay.open_pairs));
  sheet.counter("hypergate_relay_pairs_total", "Pairs that have gone through us", number(relay.totals.pairs));
  sheet.counter("hypergate_relay_bytes_total", "UDP payload passed on between peers", number(relay.totals.traffic.bytes));
  sheet.counter("hypergate_relay_packets_total", "Packets passed on between peers", number(relay.totals.traffic.packets));
  sheet.counter("hypergate_relay_packets_dropped_total", "Packets beyond --relayBandwidth", number(relay.totals.traffic.dropped));
  sheet.counter("hypergate_relay_refused_total", "Connections and pairs not relayed for", number(relay.totals.refused));
}

}  // namespace

bool has_metrics() { return true; }

std::string render_metrics(const MetricsSources& sources) {
  Sheet sheet;
  sheet.gauge("hypergate_uptime_seconds", "Since the start", to_seconds(sources.uptime));
  if (const dht::Node* dht = sources.dht) {
    sheet.gauge("hypergate_dht_ready", "1 while we are part of the DHT", joined(*dht) ? 1 : 0);
    sheet.gauge("hypergate_dht_nodes", "Nodes in the routing table", number(dht->table_size()));
    sheet.gauge("hypergate_dht_firewalled", "1 while we count as unreachable", dht->firewalled() ? 1 : 0);
    sheet.gauge("hypergate_dht_persistent", "1 while we store for others", dht->ephemeral() ? 0 : 1);
  }
  if (const tunnel::Node* node = sources.node) {
    add_peers(sheet, node->peers());
    add_channels(sheet, node->counters());
    add_drops(sheet, node->counters());
    add_ingress(sheet, node->counters(), node->gateway());
    if (node->gateway() != nullptr && sources.gates != nullptr) add_gates(sheet, *node->gateway(), *sources.gates);
    if (node->provider() != nullptr) add_services(sheet, *node->provider());
  }
  if (sources.relay) add_relay(sheet, *sources.relay);
  return sheet.text();
}

#else

bool has_metrics() { return false; }

std::string render_metrics(const MetricsSources&) { return {}; }

#endif

}  // namespace hg::app
