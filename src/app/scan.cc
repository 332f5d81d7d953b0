// 1. the argument is taken both as the router's name and as its secret: two topics are looked up
// 2. every peer found is connected to; behind the secret's topic we also say hello (as a gateway without
//    gates), learn roles and routes, and ask gateways whom /unlimited lets in
// 3. after kQuiet without news, or kLimit, the table is printed
#include "app/scan.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <map>

#include "app/network.h"
#include "app/stats.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "tunnel/node.h"

namespace hg::app {

namespace {

constexpr Duration kQuiet = 1500ms;
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
  return fmt::format("{}/{} {}:{}", service.gate_port, service.protocol == tunnel::Protocol::kUdp ? "udp" : "tcp", service.service_host,
                     service.service_port);
}

// A peer of a router whose secret we lack: it is looked at, not spoken to.
class Stranger final : public ByteStreamHandler {
 public:
  Stranger(std::unique_ptr<noise::Connection> connection, std::function<void(const noise::ConnectionStats&)> on_stats)
      : connection_(std::move(connection)), on_stats_(std::move(on_stats)) {
    connection_->set_handler(this);
  }
  noise::ConnectionStats stats() const { return connection_->stats(); }
  const PublicKey& key() const { return connection_->remote_key(); }
  void on_data(ByteView) override {}
  void on_close(const std::optional<Error>&) override { on_stats_(connection_->stats()); }

 private:
  std::unique_ptr<noise::Connection> connection_;
  std::function<void(const noise::ConnectionStats&)> on_stats_;
};

class Scan {
 public:
  Scan(io::Loop& loop, const Config& config) : loop_(loop), config_(config), network_(loop) {}

  int run() {
    if (auto opened = network_.open(config_); !opened) {
      HG_LOG(kError, "scan", "{}", opened.error().message);
      return 1;
    }
    keys_ = tunnel::derive_router_keys(*config_.router);
    tunnel::NodeOptions options;
    options.gateway = true;
    options.limits = config_.limits;
    tunnel::NodeCallbacks callbacks;
    callbacks.peer_ready = [this](const PublicKey& peer, bool is_gateway) {
      news();
      if (is_gateway) node_->ask_status(peer);
    };
    callbacks.routes_learned = [this](const PublicKey&) { news(); };
    node_ = std::make_unique<tunnel::Node>(loop_, keys_, std::move(options), std::move(callbacks));
    network_.swarm().set_on_connection([this](auto connection, const swarm::PeerInfo& info) { add(std::move(connection), info); });

    int rounds = 0;
    const swarm::JoinOptions look_only{.server = false, .client = true};
    auto by_secret = network_.swarm().join(keys_.keys.public_key, look_only);
    auto by_name = network_.swarm().join(*config_.router_name, look_only);
    by_secret->flushed([&] { rounds++; });
    by_name->flushed([&] { rounds++; });
    news();
    loop_.run_until([&] { return rounds == 2 && network_.swarm().stats().connecting == 0 && loop_.now() - last_news_ > kQuiet; }, kLimit);
    collect();
    print();
    by_secret.reset();
    by_name.reset();
    leave();
    return 0;
  }

 private:
  void news() { last_news_ = loop_.now(); }

  void add(std::unique_ptr<noise::Connection> connection, const swarm::PeerInfo& info) {
    news();
    const bool member = std::find(info.topics.begin(), info.topics.end(), keys_.keys.public_key) != info.topics.end();
    if (member) return node_->add_connection(std::move(connection));
    const PublicKey key = connection->remote_key();
    strangers_.push_back(
        std::make_unique<Stranger>(std::move(connection), [this, key](const noise::ConnectionStats& stats) { note(key, stats); }));
  }
  Row& note(const PublicKey& key, const noise::ConnectionStats& stats) {
    Row& row = rows_[to_hex(key)];
    row.address = stats.remote.to_string();
    row.rtt_us = std::chrono::duration_cast<std::chrono::microseconds>(stats.smoothed_rtt).count();
    row.relayed = stats.relayed;
    return row;
  }
  void collect() {
    for (const auto& stranger : strangers_) note(stranger->key(), stranger->stats());
    for (const tunnel::PeerInfo& peer : node_->peers()) {
      Row& row = note(peer.key, peer.stats);
      if (peer.ready) row.role = peer.is_gateway ? (peer.offers.empty() ? "gateway" : "both") : "provider";
      for (const tunnel::Service& service : peer.offers) row.routes.push_back(describe(service));
      row.overrides = peer.status.overrides;
    }
  }

  void print() const {
    if (config_.json) return print_json();
    fmt::print("{:<16} {:<9} {:<22} {:>9}  {}\n", "PEER", "ROLE", "ADDRESS", "RTT", "ROUTES");
    for (const auto& [key, row] : rows_)
      fmt::print("{:<16} {:<9} {:<22} {:>6.1f} ms  {}\n", key.substr(0, 16), row.role, row.address, static_cast<double>(row.rtt_us) / 1000,
                 row.routes.empty() ? "-" : fmt::format("{}", fmt::join(row.routes, ", ")));
    for (const auto& [key, row] : rows_)
      for (const tunnel::Override& one : row.overrides) fmt::print("gateway {}: unlimited {}\n", key.substr(0, 16), describe_override(one));
    fmt::print("{} peer{}\n", rows_.size(), rows_.size() == 1 ? "" : "s");
  }
  void print_json() const {
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
    fmt::print("{}\n", boost::json::serialize(boost::json::object{{"peers", peers}}));
  }

  void leave() {
    bool left = false;
    node_->shutdown(Duration::zero(), [&] { network_.close([&] { left = true; }); });
    loop_.run_until([&] { return left; }, kCloseLimit);
  }

  io::Loop& loop_;
  const Config& config_;
  Network network_;
  tunnel::RouterKeys keys_;
  std::unique_ptr<tunnel::Node> node_;
  std::vector<std::unique_ptr<Stranger>> strangers_;
  std::map<std::string, Row> rows_;
  TimePoint last_news_{};
};

}  // namespace

int run_scan(const Config& config) {
  io::Loop loop(crypto::system_rng());
  return Scan(loop, config).run();
}

}  // namespace hg::app
