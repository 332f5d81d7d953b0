#include "app/stats.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "app/drops.h"
#include "app/printable.h"

namespace hg::app {

namespace {

constexpr size_t kShownOverrides = 8;
constexpr size_t kMostClientBytes = 64;  // an IPv6 address with its zone

void add_reasons(std::string& line, std::string_view what, const Reasons& reasons) {
  std::string named;
  for (const auto& [reason, count] : reasons) {
    if (count > 0) named += fmt::format("{}{} {}", named.empty() ? "" : ", ", reason, count);
  }
  if (!named.empty()) line += fmt::format(" · {}: {}", what, named);
}

void add_overrides(std::string& line, const std::vector<tunnel::Override>& overrides) {
  if (overrides.empty()) return;
  line += " · unlimited: ";
  for (size_t i = 0; i < std::min(overrides.size(), kShownOverrides); ++i) line += (i == 0 ? "" : ", ") + describe_override(overrides[i]);
  if (overrides.size() > kShownOverrides) line += fmt::format(" and {} more", overrides.size() - kShownOverrides);
}

void add_relayed(std::string& line, const RelayFigures& relayed) {
  const peer::BlindRelayCounters& totals = relayed.totals;
  if (totals.pairs == 0 && totals.refused == 0) return;
  line += fmt::format(" · relaying for {} pairs, {} in all, {} bytes", relayed.open_pairs, totals.pairs, totals.traffic.bytes);
  if (totals.refused > 0) line += fmt::format(", refused {}", totals.refused);
}

/// Channels whose other side is gone while our socket still takes what is left are closing.
std::string channels(const tunnel::Counters& c, size_t pending, size_t clients) {
  const size_t open = c.channels_open;
  return fmt::format("channels {} active, {} closing, {} pending, {} in all", open - std::min(open, pending),
                     clients - std::min(clients, open), pending, c.channels_opened);
}

}  // namespace

std::string describe_override(const tunnel::Override& one) {
  return fmt::format("{} until {:%Y-%m-%dT%H:%M:%SZ}", printable(one.client, kMostClientBytes),
                     fmt::gmtime(static_cast<std::time_t>(one.until_ms / 1000)));
}

std::string stats_line(tunnel::Node& node, const relay::GateSet* gates, const std::optional<RelayFigures>& relayed) {
  const tunnel::Counters& c = node.counters();
  tunnel::Gateway* gateway = node.gateway();
  std::string line;
  if (gates != nullptr) {
    const auto status = gates->status();
    line += fmt::format("gates {} active · ", std::count_if(status.begin(), status.end(), [](const auto& gate) { return gate.listening; }));
  }
  line += channels(c, gateway == nullptr ? 0 : gateway->openings(), gates == nullptr ? 0 : gates->clients());
  line += fmt::format(" · peers {} · bytes {} to peers, {} from peers", node.peers().size(), c.bytes_to_peers, c.bytes_from_peers);
  add_reasons(line, "refused", refused_channels(c));
  add_reasons(line, "dropped", dropped_channels(c));
  add_reasons(line, "datagrams dropped", dropped_datagrams(c));
  add_reasons(line, "messages refused", refused_messages(c));
  if (c.shaping_waits > 0) line += fmt::format(" · waited for bandwidth {} times, {:.1f} s", c.shaping_waits, to_seconds(c.shaping_delay));
  if (relayed) add_relayed(line, *relayed);
  if (gateway != nullptr) add_overrides(line, gateway->admissions().overrides());
  return line;
}

}  // namespace hg::app
