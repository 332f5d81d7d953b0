// The argument is taken both as the router's name and as its secret: two topics are looked up and every peer found is connected to
// (RouterVisit). Once there is no more news, or after kLimit, the table is printed.
#include "app/scan.h"

#include <boost/json.hpp>
#include <cstdio>
#include <map>

#include "app/network.h"
#include "app/printable.h"
#include "app/router_visit.h"
#include "app/stats.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "tunnel/node.h"

namespace hg::app {

namespace {

constexpr Duration kLimit = 15s;
constexpr Duration kCloseLimit = 3s;

struct Row {
  std::string role = "?";
  std::string address;
  int64_t rtt_us = 0;
  bool relayed = false;
  std::vector<std::string> routes;
  std::vector<tunnel::Override> overrides;
};

std::string describe(const tunnel::Service& service) {
  return fmt::format("{}/{} {}:{}", service.gate_port, service.protocol == tunnel::Protocol::kUdp ? "udp" : "tcp",
                     printable(service.service_host, tunnel::kMaxHostBytes), service.service_port);
}

class Scan {
 public:
  Scan(io::Loop& loop, const Config& config) : loop_(loop), config_(config), network_(loop) {}

  int run() {
    if (auto opened = network_.open(config_); !opened) {
      HG_LOG(kError, "scan", "{}", opened.error().message);
      return 1;
    }
    RouterVisit visit(loop_, network_, *config_.router, config_.limits, {.name = config_.router_name, .ask_status = true});
    visit.start();
    loop_.run_until([&] { return visit.settled(); }, kLimit);
    collect(visit);
    print();
    const bool answered = network_.dht().counters().responses > 0;
    if (!answered) HG_LOG(kError, "scan", "no DHT node answers, so nobody can be found here");
    leave(visit);
    return answered ? 0 : 1;
  }

 private:
  Row& note(const PublicKey& key, const noise::ConnectionStats& stats) {
    Row& row = rows_[to_hex(key)];
    row.address = stats.remote.to_string();
    row.rtt_us = std::chrono::duration_cast<std::chrono::microseconds>(stats.smoothed_rtt).count();
    row.relayed = stats.relayed;
    return row;
  }
  void collect(RouterVisit& visit) {
    for (const RouterVisit::Stranger& stranger : visit.strangers()) note(stranger.key, stranger.stats);
    for (const tunnel::PeerInfo& peer : visit.node().peers()) {
      Row& row = note(peer.key, peer.stats);
      if (peer.ready) row.role = peer.is_gateway ? (peer.offers.empty() ? "gateway" : "both") : "provider";
      for (const tunnel::Service& service : peer.offers) row.routes.push_back(describe(service));
      row.overrides = peer.status.overrides;
    }
  }

  void print() const { std::fputs((config_.json ? to_json() : to_text()).c_str(), stdout); }
  std::string to_text() const {
    std::string out = fmt::format("{:<16} {:<9} {:<22} {:>9}  {}\n", "PEER", "ROLE", "ADDRESS", "RTT", "ROUTES");
    for (const auto& [key, row] : rows_)
      out += fmt::format("{:<16} {:<9} {:<22} {:>6.1f} ms  {}\n", key.substr(0, 16), row.role, row.address,
                         static_cast<double>(row.rtt_us) / 1000, row.routes.empty() ? "-" : fmt::format("{}", fmt::join(row.routes, ", ")));
    for (const auto& [key, row] : rows_)
      for (const tunnel::Override& one : row.overrides)
        out += fmt::format("gateway {}: unlimited {}\n", key.substr(0, 16), describe_override(one));
    return out + fmt::format("{} peer{}\n", rows_.size(), rows_.size() == 1 ? "" : "s");
  }
  std::string to_json() const {
    boost::json::array peers;
    for (const auto& [key, row] : rows_) {
      boost::json::array routes;
      for (const std::string& route : row.routes) routes.push_back(boost::json::string(route));
      boost::json::array overrides;
      for (const tunnel::Override& one : row.overrides) overrides.push_back({{"ip", one.client}, {"expireAt", one.until_ms}});
      peers.push_back({{"peer", key},
                       {"role", row.role},
                       {"address", row.address},
                       {"rttMs", static_cast<double>(row.rtt_us) / 1000},
                       {"relayed", row.relayed},
                       {"routes", routes},
                       {"unlimited", overrides}});
    }
    return boost::json::serialize(boost::json::object{{"peers", peers}}) + "\n";
  }

  void leave(RouterVisit& visit) {
    bool left = false;
    visit.leave([&] { network_.close([&] { left = true; }); });
    loop_.run_until([&] { return left; }, kCloseLimit);
  }

  io::Loop& loop_;
  const Config& config_;
  Network network_;
  std::map<std::string, Row> rows_;
};

}  // namespace

int run_scan(const Config& config) {
  io::Loop loop(crypto::system_rng());
  return Scan(loop, config).run();
}

}  // namespace hg::app
