#include "app/member.h"

#include <algorithm>
#include <csignal>
#include <set>

#include "app/own_gate.h"
#include "app/stats.h"
#include "base/log.h"

namespace hg::app {

namespace {

constexpr Duration kGrace = 5s;       // for open channels, when told to stop
constexpr Duration kLeaveLimit = 8s;  // a network that does not answer must not keep us
constexpr size_t kShownKeyBytes = 4;
constexpr size_t kShownChannels = 100;

std::string short_key(const PublicKey& key) { return to_hex(ByteView(key).first(kShownKeyBytes)); }

}  // namespace

Member::Member(io::Loop& loop, MemberPlan plan)
    : loop_(loop),
      plan_(std::move(plan)),
      network_(loop),
      stats_timer_(loop.timers(), [this] { log_stats(); }),
      manager_(loop, plan_.config.manager) {}

Member::~Member() = default;

int Member::run() {
  endpoints_ = std::make_unique<Endpoints>(loop_, plan_.config.endpoints, plan_.config.limits);
  if (auto opened = endpoints_->open(); !opened) {
    HG_LOG(kError, "hypergate", "{}", opened.error().message);
    return 1;
  }
  if (auto opened = network_.open(plan_.config); !opened) {
    HG_LOG(kError, "hypergate", "{}", opened.error().message);
    return 1;
  }
  HG_LOG(kInfo, "hypergate", "DHT node on UDP port {}", network_.dht().server_port());
  network_.dht().on_ready([this] {
    if (network_.dht().table_size() > 0) HG_LOG(kInfo, "hypergate", "DHT ready, nodes known: {}", network_.dht().table_size());
  });
  const Seed secret = *plan_.config.router;
  auto derived = std::make_shared<tunnel::RouterKeys>();
  loop_.run_blocking([derived, secret] { *derived = tunnel::derive_router_keys(secret); },
                     [this, derived] {
                       keys_ = *derived;
                       keys_ready_ = true;
                       if (!stopping_) join();
                     });
  loop_.on_signals({SIGINT, SIGTERM, SIGHUP}, [this](int) { stop(); });
  loop_.run();
  return 0;
}

/// An advertisement has many services: the system is asked once for all of them.
const OwnNames& Member::names_of_ours() {
  if (loop_.now() - own_names_at_ < 1s) return own_names_;
  own_names_at_ = loop_.now();
  return own_names_ = own_names(loop_.network().interface_addresses());
}

void Member::join() {
  tunnel::NodeOptions options;
  options.gateway = plan_.config.gateway;
  options.filter = filter();
  options.leads_back = [this](const tunnel::Service& service, const Endpoint& provider) {
    return leads_of(plan_.config.listen, service, provider, names_of_ours());
  };
  options.limits = plan_.config.limits;
  if (plan_.config.provider) {
    links_ = std::make_unique<relay::ServiceLinks>(loop_, plan_.config.limits);
    options.connector = links_.get();
  }
  if (plan_.config.docker) {
    docker_ = std::make_unique<DockerMode>(loop_, plan_.config, keys_.keys.public_key, plan_.wanted.services, filter(), options.connector);
    if (options.connector != nullptr) options.connector = docker_.get();
  }
  tunnel::NodeCallbacks callbacks;
  callbacks.ban = [this](const PublicKey& peer, const std::string& why) {
    HG_LOG(kDebug, "hypergate", "peer {} banned: {}", short_key(peer), why);  // the session has said it, where it is worth a line
    network_.swarm().ban(peer);
  };
  callbacks.peer_ready = [this](const PublicKey& peer, bool is_gateway) {
    network_.swarm().confirm(peer);
    HG_LOG(kInfo, "hypergate", "{} {} joined", is_gateway ? "gateway" : "provider", short_key(peer));
  };
  callbacks.peer_lost = [this](const PublicKey& peer, const std::optional<Error>& error) {
    if (error)
      HG_LOG(kWarn, "hypergate", "peer {} lost: {}", short_key(peer), error->message);
    else
      HG_LOG(kInfo, "hypergate", "peer {} left", short_key(peer));
    if (docker_) docker_->routes_changed();
  };
  callbacks.relay_learned = [this](const PublicKey& peer, const std::optional<PublicKey>& relay) {
    network_.swarm().set_relay(peer, relay);
  };
  callbacks.routes_learned = [this](const PublicKey&) {
    if (docker_) docker_->routes_changed();
  };
  node_ = std::make_unique<tunnel::Node>(loop_, keys_, std::move(options), std::move(callbacks));
  if (links_) {
    links_->set_counters(node_->counters());
    links_->set_observer(endpoints_->observer());
    node_->provider()->set_ingress_policy(plan_.wanted.ingress_policy);
    node_->provider()->set_services(plan_.wanted.services);
  }
  if (docker_) docker_->start(*node_);
  if (plan_.config.gateway) {
    gates_ = std::make_unique<relay::GateSet>(loop_, *node_, plan_.config.listen);
    gates_->on_changed([this] { log_gates(); });
  }
  endpoints_->attach(*node_, network_.dht(), gates_.get(), keys_.keys.public_key);
  network_.swarm().set_on_connection([this](std::unique_ptr<noise::Connection> connection, const swarm::PeerInfo&) {
    const noise::ConnectionStats stats = connection->stats();
    const std::string peer = short_key(connection->remote_key());
    if (stats.relayed)
      HG_LOG(kInfo, "hypergate", "no direct path to {}: connected through relay {}", peer, short_key(*stats.relay));
    else
      HG_LOG(kDebug, "hypergate", "connected to {} at {}", peer, stats.remote.to_string());
    node_->add_connection(std::move(connection));
  });
  if (plan_.config.relay) {
    relay_ = std::make_unique<RelayRole>(loop_, network_, *node_, plan_.config.relay_bandwidth);
    endpoints_->attach(*relay_);
  }
  watch_ = std::make_unique<SourceWatch>(loop_, std::move(plan_.sources), plan_.wanted, plan_.config.url_interval,
                                         [this](const Wanted& wanted) { follow(wanted); });
  discovery_ = network_.swarm().join(keys_.keys.public_key);
  loneliness_ = std::make_unique<LonelinessNotice>(loop_, [this] {
    const auto peers = node_->peers();
    return network_.dht().health() != dht::Health::kOffline &&
           std::none_of(peers.begin(), peers.end(), [](const auto& p) { return p.ready; });
  });
  HG_LOG(kInfo, "hypergate", "router {} joined as {}{}{}", to_hex(keys_.keys.public_key), plan_.config.provider ? "provider" : "",
         plan_.config.provider && plan_.config.gateway ? " and " : "", plan_.config.gateway ? "gateway" : "");
  stats_timer_.arm(loop_.now() + plan_.config.limits.stats_interval);
  manager_.ready([this] { return status(); });
}

void Member::stop() {
  if (stopping_) {
    HG_LOG(kWarn, "hypergate", "told to stop twice: stopping now");
    loop_.stop();
    return;
  }
  stopping_ = true;
  watch_.reset();
  manager_.stopping();
  if (!node_) return leave_network();
  HG_LOG(kInfo, "hypergate", "stopping, {} channels open", node_->channel_count());
  if (gates_) gates_->stop_listening();
  if (!docker_) return node_->shutdown(kGrace, [this] { leave_network(); });
  auto left = std::make_shared<int>(2);  // helpers and channels end side by side
  auto ended = [this, left] {
    if (--*left == 0) leave_network();
  };
  docker_->stop(ended);
  node_->shutdown(kGrace, ended);
}

void Member::leave_network() {
  discovery_.reset();
  loneliness_.reset();
  auto limit = std::make_shared<Timer>(loop_.timers(), [this] { loop_.stop(); });
  limit->arm(loop_.now() + kLeaveLimit);
  auto left = std::make_shared<int>(relay_ ? 2 : 1);
  const auto stopped = [this, limit, left] {
    if (--*left > 0) return;
    HG_LOG(kInfo, "hypergate", "stopped");
    loop_.stop();
  };
  if (relay_) relay_->stop(stopped);
  network_.close(stopped);
}

/// For the service manager.
std::string Member::status() {
  if (stopping_) return fmt::format("stopping, channels open: {}", node_->channel_count());
  std::string line = fmt::format("peers: {}", node_->member_count());
  if (gates_) {
    const auto gates = gates_->status();
    const auto open = std::count_if(gates.begin(), gates.end(), [](const auto& gate) { return gate.listening; });
    line += fmt::format(", gates open: {}", open);
    if (const size_t shut = gates.size() - static_cast<size_t>(open)) line += fmt::format(", not open: {}", shut);
  }
  if (node_->provider() != nullptr) line += fmt::format(", services offered: {}", node_->provider()->services().size());
  if (!joined(network_.dht())) line += ", no DHT node answers";
  return line;
}

void Member::log_gates() {
  std::set<std::string> lines;
  std::set<std::string> faults;
  for (const relay::GateStatus& status : gates_->status()) {
    const char* protocol = status.gate.key.protocol == tunnel::Protocol::kUdp ? "udp" : "tcp";
    std::string line =
        status.listening ? fmt::format("{} {} open for {}:{}", protocol, status.address, status.gate.service_host, status.gate.service_port)
                         : fmt::format("{} {} not open: {}", protocol, status.gate.key.port, status.fault);
    for (const std::string& other : status.gate.conflicts) line += fmt::format(" (in conflict: {})", other);
    if (!status.listening || !status.gate.conflicts.empty()) faults.insert(line);
    lines.insert(std::move(line));
  }
  std::vector<std::string> fresh_faults, changes;
  for (const std::string& line : lines)
    if (!gates_shown_.contains(line)) (faults.contains(line) ? fresh_faults : changes).push_back(line);
  for (const std::string& line : gates_shown_)
    if (!lines.contains(line)) changes.push_back("no more: " + line);
  log::emit_each(log::Level::kWarn, "gate", fresh_faults);
  log::emit_each(log::Level::kInfo, "gate", changes);
  gates_shown_ = std::move(lines);
}

tunnel::GateFilter Member::filter() const {
  return {plan_.wanted.filter, plan_.config.expose_only_services, plan_.config.expose_only_docker, plan_.config.expose_only_published};
}

void Member::follow(const Wanted& wanted) {
  if (wanted.ingress_policy != plan_.wanted.ingress_policy) HG_LOG(kInfo, "ingress", "ingress policy changed");
  const bool other_filter = wanted.filter != plan_.wanted.filter;
  plan_.wanted = wanted;
  if (other_filter) change_filter();
  if (tunnel::Provider* provider = node_->provider()) {
    // A longer policy may need the room of services that go, more services that of a policy that gets shorter.
    const bool fits = provider->set_ingress_policy(wanted.ingress_policy);
    offer();
    if (!fits && !provider->set_ingress_policy(wanted.ingress_policy))
      HG_LOG(kWarn, "ingress", "with the changed policy what containers offer would not fit any more; the last good one stays");
  }
}

void Member::change_filter() {
  HG_LOG(kInfo, "gate", "filter changed");
  node_->gateway()->set_filter(filter());
  if (docker_) docker_->set_filter(filter());
}

void Member::offer() {
  if (docker_)
    docker_->set_files(plan_.wanted.services);
  else
    node_->provider()->set_services(plan_.wanted.services);
}

void Member::log_stats() {
  HG_LOG(kInfo, "stats", "{}", stats_line(*node_, gates_.get(), relay_ ? std::optional(relay_->figures()) : std::nullopt));
  if (plan_.config.verbose && node_->gateway() != nullptr)
    for (const std::string& line : node_->gateway()->admissions().describe_channels(kShownChannels)) HG_LOG(kDebug, "stats", "{}", line);
  stats_timer_.arm(loop_.now() + plan_.config.limits.stats_interval);
}

}  // namespace hg::app
