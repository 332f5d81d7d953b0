#include "app/status_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "app/printable.h"

namespace hg::app {

namespace json = boost::json;

namespace {

constexpr size_t kMostTextBytes = 500;
constexpr size_t kPeerDigits = 16;     // of a key, as `scan` and `doctor` show it
constexpr size_t kProviderDigits = 8;  // as the log does
constexpr double kLongestMs = 1e15;    // of what another process says
constexpr double kStep = 1000;

/// A value, or nothing.
class Item {
 public:
  explicit Item(const json::value* value) : value_(value) {}

  Item operator[](std::string_view key) const {
    const json::object* object = value_ == nullptr ? nullptr : value_->if_object();
    return Item(object == nullptr ? nullptr : object->if_contains(key));
  }
  bool there() const { return value_ != nullptr && !value_->is_null(); }
  bool truth() const { return value_ != nullptr && value_->is_bool() && value_->get_bool(); }
  double number() const {
    if (value_ == nullptr) return 0;
    boost::system::error_code failure;
    const double number = value_->to_number<double>(failure);
    return failure ? 0 : number;
  }
  size_t count() const { return static_cast<size_t>(std::clamp(number(), 0.0, kLongestMs)); }
  std::string text(std::string_view otherwise = "-") const {
    return printable(value_ != nullptr && value_->is_string() ? std::string_view(value_->get_string()) : otherwise, kMostTextBytes);
  }
  std::vector<Item> list() const {
    std::vector<Item> items;
    if (value_ != nullptr && value_->is_array())
      for (const json::value& value : value_->get_array()) items.emplace_back(&value);
    return items;
  }
  /// "connect 3, timeout 1" of an object of numbers; empty: it has none.
  std::string reasons() const {
    std::string out;
    if (value_ != nullptr && value_->is_object())
      for (const auto& [reason, value] : value_->get_object())
        out += fmt::format("{}{} {}", out.empty() ? "" : ", ", printable(reason, kMostTextBytes), Item(&value).count());
    return out;
  }

 private:
  const json::value* value_;
};

std::string scaled(double value, std::initializer_list<const char*> units) {
  auto unit = units.begin();
  for (; value >= kStep && unit + 1 != units.end(); ++unit) value /= kStep;
  return fmt::format("{:.{}f} {}", value, unit == units.begin() ? 0 : 1, *unit);
}
std::string bytes(Item count) { return scaled(count.number(), {"B", "kB", "MB", "GB", "TB"}); }
/// Behind an amount.
std::string rate(Item mbps) {
  return mbps.there() ? fmt::format(" at {}", scaled(mbps.number() * 1e6, {"bit/s", "kbit/s", "Mbit/s", "Gbit/s"})) : "";
}

/// A cell: the bytes since the start, and how fast they come now, if they do.
std::string flow(Item count, Item mbps) { return bytes(count) + (mbps.number() > 0 ? rate(mbps) : ""); }

std::string span(Item ms) {
  const auto seconds = static_cast<int64_t>(std::clamp(ms.number(), 0.0, kLongestMs) / 1000);
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min", seconds / 60);
  if (seconds < 86400) return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{} d {} h", seconds / 86400, seconds / 3600 % 24);
}

std::string service(Item row) {
  const std::string host = row["serviceHost"].text();
  return host == "-" || host.starts_with("unix:") ? host : fmt::format("{}:{}", host, row["servicePort"].count());
}
std::string gate(Item port, Item protocol) { return fmt::format("{}/{}", port.count(), protocol.text()); }

/// Of UTF-8, in symbols.
size_t width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

/// Columns as wide as their longest text; the last one as it comes.
std::string table(const std::vector<std::vector<std::string>>& rows, Item of) {
  if (rows.size() < 2) return {};
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows)
    for (size_t i = 0; i + 1 < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  std::string out = "\n";
  for (const auto& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) out += row[i] + std::string(widths[i] - width(row[i]) + 2, ' ');
    out += row.back() + "\n";
  }
  const size_t shown = rows.size() - 1;
  if (of["count"].count() > shown) out += fmt::format("and {} more\n", of["count"].count() - shown);
  return out;
}

std::string line(std::string_view what, const std::string& found) { return fmt::format("{:<14}  {}\n", what, found); }

std::string overview(Item s) {
  std::vector<std::string> roles;
  for (const Item role : s["roles"].list()) roles.push_back(role.text());
  const Item t = s["traffic"];
  std::string out = line("network", fmt::format("{}; DHT {}, nodes known: {}", s["ready"].truth() ? "part of it" : "not part of it",
                                                s["dht"]["health"].text("starting"), s["dht"]["nodes"].count()));
  out += line("running", fmt::format("as {}, for {}", roles.empty() ? "nothing yet" : fmt::format("{}", fmt::join(roles, " and ")),
                                     span(s["uptimeMs"])));
  if (s["router"].there()) out += line("router", s["router"].text());
  if (!t.there()) return out;
  out += line("channels", fmt::format("{} now, {} in all", t["channels"].count(), t["channelsTotal"].count()));
  out += line("traffic", fmt::format("{}{} to peers, {}{} from peers", bytes(t["bytesToPeers"]), rate(t["mbpsToPeers"]),
                                     bytes(t["bytesFromPeers"]), rate(t["mbpsFromPeers"])));
  return out;
}

std::string gates(Item s) {
  const Item all = s["gates"];
  if (!all.there()) return {};
  const Item routes = s["routes"];
  std::string out =
      line("gates", fmt::format("{} open of {}; clients: {}", all["open"].count(), all["count"].count(), all["clients"].count()));
  if (routes["offered"].count() == 0) out += line("", "no provider offers anything");
  if (routes["filtered"].count() > 0)
    out += line("", fmt::format("routes that do not pass the filter: {} of {}", routes["filtered"].count(), routes["offered"].count()));
  if (routes["silent"].count() > 0)
    out += line("", fmt::format("routes of silent providers: {} of {}; their gates close after 15 s", routes["silent"].count(),
                                routes["offered"].count()));
  if (routes["unusable"].count() > 0)
    out += line("", fmt::format("routes that cannot be used: {}; the log says why", routes["unusable"].count()));
  std::vector<std::vector<std::string>> rows{{"GATE", "SERVICE", "PROVIDERS", "CLIENTS", "TO PEERS", "FROM PEERS", "STATE"}};
  for (const Item g : all["list"].list()) {
    std::vector<std::string> providers;
    for (const Item provider : g["providers"]["list"].list()) providers.push_back(provider.text().substr(0, kProviderDigits));
    const size_t more = g["providers"]["count"].count() - std::min(g["providers"]["count"].count(), providers.size());
    std::string state = g["open"].truth() ? "open" : "not open";
    if (g["fault"].there()) state += fmt::format(": {}", g["fault"].text());
    if (g["silentProviders"].count() > 0) state += fmt::format(", {} silent", g["silentProviders"].count());
    if (g["conflicts"]["count"].count() > 0) state += ", also wanted for";
    for (const Item host : g["conflicts"]["list"].list()) state += fmt::format(" {}", host.text());
    rows.push_back({gate(g["port"], g["protocol"]), service(g),
                    fmt::format("{}{}", fmt::join(providers, " "), more == 0 ? "" : fmt::format(" and {} more", more)),
                    fmt::format("{}", g["clients"].count()), flow(g["bytesToPeers"], g["mbpsToPeers"]),
                    flow(g["bytesFromPeers"], g["mbpsFromPeers"]), std::move(state)});
  }
  return out + table(rows, all);
}

std::string services(Item s) {
  std::vector<std::vector<std::string>> rows{{"OFFERED AS", "SERVICE", "TO PEERS", "FROM PEERS", "STATE"}};
  for (const Item v : s["services"]["list"].list()) {
    std::string state = !v["works"].there() ? "nobody has asked" : v["works"].truth() ? "works" : "refuses";
    if (v["connected"].count() > 0) state += fmt::format("; connected {}, last {} ago", v["connected"].count(), span(v["connectedMsAgo"]));
    if (v["refused"].count() > 0)
      state += fmt::format("; refused {}, last {} ago: {}", v["refused"].count(), span(v["refusedMsAgo"]), v["refusedWhy"].text());
    rows.push_back({gate(v["gatePort"], v["protocol"]), service(v), flow(v["bytesToPeers"], v["mbpsToPeers"]),
                    flow(v["bytesFromPeers"], v["mbpsFromPeers"]), std::move(state)});
  }
  return table(rows, s["services"]);
}

std::string peers(Item s) {
  std::vector<std::vector<std::string>> rows{{"PEER", "ROLE", "STATE", "PATH", "ADDRESS", "RTT", "LOSS", "FOR", "TO IT", "FROM IT"}};
  for (const Item p : s["peers"]["list"].list())
    rows.push_back({p["peer"].text().substr(0, kPeerDigits), p["role"].text("?"), p["answering"].truth() ? "answers" : "silent",
                    p["relayed"].truth() ? fmt::format("by {}", p["relay"].text("?").substr(0, kProviderDigits)) : "direct",
                    p["address"].text(), fmt::format("{:.1f} ms", p["rttMs"].number()), fmt::format("{:.1f} %", p["loss"].number() * 100),
                    span(p["connectedMs"]), flow(p["bytesToPeer"], p["mbpsToPeer"]), flow(p["bytesFromPeer"], p["mbpsFromPeer"])});
  return s["peers"].there() && rows.size() == 1 ? "\nno other member of this router is connected\n" : table(rows, s["peers"]);
}

std::string the_rest(Item s) {
  std::string out;
  const Item refused = s["refused"];
  for (const auto& [name, key] : {std::pair("refused", "channels"), std::pair("dropped", "channelsDropped"),
                                  std::pair("datagrams lost", "datagramsDropped"), std::pair("bad messages", "messages")})
    if (const std::string found = refused[key].reasons(); !found.empty()) out += line(name, found);
  for (const Item one : s["unlimited"]["list"].list())
    out += line("unlimited", fmt::format("{}, for {}", one["ip"].text("an address"), span(one["leftMs"])));
  if (const Item relay = s["relay"]; relay["serving"].truth() || relay["pairsTotal"].count() > 0)
    out += line("relaying", fmt::format("pairs: {} now, {} in all, {} passed on; refused {}", relay["pairs"].count(),
                                        relay["pairsTotal"].count(), bytes(relay["bytes"]), relay["refused"].count()));
  for (const Item warning : s["warnings"]["list"].list())
    out += line(warning["level"].text(),
                fmt::format("{} ago: {}: {}", span(warning["msAgo"]), warning["component"].text(), warning["message"].text()));
  if (s["everything"].there() && !s["everything"].truth()) out += "Addresses, names and reasons are told on the machine itself only.\n";
  return out.empty() ? out : fmt::format("\n{}", out);
}

}  // namespace

std::string status_text(const json::value& status) {
  const Item s(&status);
  return overview(s) + gates(s) + services(s) + peers(s) + the_rest(s);
}

}  // namespace hg::app
