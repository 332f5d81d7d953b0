#include "app/router_visit.h"

namespace hg::app {

RouterVisit::RouterVisit(io::Loop& loop, Network& network, const Seed& secret, const tunnel::Limits& limits)
    : loop_(loop), network_(network), keys_(tunnel::derive_router_keys(secret)) {
  tunnel::NodeOptions options;
  options.gateway = true;  // who is no provider must say so, or providers would not speak
  options.limits = limits;
  tunnel::NodeCallbacks callbacks;
  callbacks.peer_ready = [this](const PublicKey&, bool) { news(); };
  callbacks.routes_learned = [this](const PublicKey&) { news(); };
  node_ = std::make_unique<tunnel::Node>(loop_, keys_, std::move(options), std::move(callbacks));
}

void RouterVisit::start() {
  network_.swarm().set_on_connection([this](auto connection, const swarm::PeerInfo&) {
    news();
    node_->add_connection(std::move(connection));
  });
  discovery_ = network_.swarm().join(keys_.keys.public_key, {.server = false, .client = true});
  discovery_->flushed([this] { looked_up_ = true; });
  news();
}

bool RouterVisit::settled() const { return looked_up_ && network_.swarm().stats().connecting == 0 && loop_.now() - last_news_ > kQuiet; }

void RouterVisit::leave(std::function<void()> done) {
  discovery_.reset();
  node_->shutdown(Duration::zero(), std::move(done));
}

}  // namespace hg::app
