#include "app/network.h"

#include <algorithm>

#include "base/log.h"
#include "crypto/crypto.h"

namespace hg::app {

Network::~Network() {
  watch_.reset();
  swarm_.reset();
  host_.reset();
  node_.reset();
  mux_.reset();
}

Expected<void> Network::open(const Config& config) {
  dht::NodeOptions options;
  if (!config.bootstrap.empty()) options.bootstrap = config.bootstrap;
  if (config.dht_port) {
    options.port = *config.dht_port;
    options.port_range = 1;
    options.any_port = false;
  }
  return start(std::move(options));
}

Expected<void> Network::open_dht_node(const Config& config) {
  dht::NodeOptions options;
  options.bootstrap = config.bootstrap;
  options.ephemeral = dht::NodeOptions::Ephemeral::kNever;
  options.port_range = 1;
  options.any_port = false;
  if (config.dht_port) options.port = *config.dht_port;
  if (!config.dht_host.empty()) {
    options.host = parse_ipv4(config.dht_host);
    options.firewalled = false;
    // Bound to its own address where it has it, so that answers leave from there; behind a 1:1 NAT to all.
    const auto own = loop_.network().interface_addresses();
    const bool loopback = *options.host >> 24 == 127;
    if (loopback || std::find(own.begin(), own.end(), *options.host) != own.end()) options.bind_host = *options.host;
  }
  return start(std::move(options));
}

Expected<void> Network::start(dht::NodeOptions options) {
  mux_ = std::make_unique<udx::Mux>(loop_);
  node_ = std::make_unique<dht::Node>(loop_, std::move(options));
  if (auto started = node_->start(); !started) return started.error();
  host_ = std::make_unique<peer::Host>(loop_, *node_, *mux_);
  watch_ = std::make_unique<io::NetworkWatch>(
      loop_, [this] { node_->notify_network_change(); }, [this] { node_->notify_wakeup(); });
  return {};
}

swarm::Swarm& Network::swarm() {
  if (!swarm_) {
    swarm::SwarmOptions options;
    options.key_pair = crypto::random_key_pair(crypto::system_rng());
    swarm_ = std::make_unique<swarm::Swarm>(loop_, *host_, std::move(options));
  }
  return *swarm_;
}

void Network::close(std::function<void()> done) {
  auto close_node = [this, done = std::move(done)] { node_->close(done); };
  if (swarm_)
    swarm_->close(std::move(close_node));
  else
    close_node();
}

}  // namespace hg::app
