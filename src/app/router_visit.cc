#include "app/router_visit.h"

#include <algorithm>

namespace hg::app {

/// Keeps a connection to a peer of whose router we lack the secret, and what was last known of it.
class RouterVisit::Onlooker final : public ByteStreamHandler {
 public:
  explicit Onlooker(std::unique_ptr<noise::Connection> connection) : connection_(std::move(connection)), key_(connection_->remote_key()) {
    connection_->set_handler(this);
  }
  Stranger seen() const { return {key_, closed_ ? last_ : connection_->stats()}; }
  void on_data(ByteView) override {}
  void on_close(const std::optional<Error>&) override {
    last_ = connection_->stats();
    closed_ = true;
  }

 private:
  std::unique_ptr<noise::Connection> connection_;
  const PublicKey key_;
  noise::ConnectionStats last_;
  bool closed_ = false;
};

RouterVisit::RouterVisit(io::Loop& loop, Network& network, const Seed& secret, const tunnel::Limits& limits, RouterVisitOptions options)
    : loop_(loop), network_(network), keys_(tunnel::derive_router_keys(secret)), options_(std::move(options)) {
  tunnel::NodeOptions node;
  node.gateway = true;  // who is no provider must say so, or providers would not speak
  node.limits = limits;
  tunnel::NodeCallbacks callbacks;
  callbacks.peer_ready = [this](const PublicKey& peer, bool is_gateway) {
    news();
    network_.swarm().confirm(peer);
    if (is_gateway && options_.ask_status) node_->ask_status(peer);
  };
  callbacks.routes_learned = [this](const PublicKey&) { news(); };
  callbacks.relay_learned = [this](const PublicKey& peer, const std::optional<PublicKey>& relay) {
    if (relay) relays_[*relay] = peer;
    network_.swarm().set_relay(peer, relay);
  };
  node_ = std::make_unique<tunnel::Node>(loop_, keys_, std::move(node), std::move(callbacks));
}

RouterVisit::~RouterVisit() = default;

void RouterVisit::start() {
  network_.swarm().set_on_connection([this](auto connection, const swarm::PeerInfo& info) { add(std::move(connection), info); });
  std::vector<Topic> topics{keys_.keys.public_key};
  if (options_.name) topics.push_back(*options_.name);
  for (const Topic& topic : topics) {
    discoveries_.push_back(network_.swarm().join(topic, {.server = false, .client = true}));
    discoveries_.back()->flushed([this] { looked_up_++; });
  }
  news();
}

void RouterVisit::add(std::unique_ptr<noise::Connection> connection, const swarm::PeerInfo& info) {
  news();
  const bool member = !options_.name || std::find(info.topics.begin(), info.topics.end(), keys_.keys.public_key) != info.topics.end();
  if (member) return node_->add_connection(std::move(connection));
  network_.swarm().confirm(info.key);
  onlookers_.push_back(std::make_unique<Onlooker>(std::move(connection)));
}

bool RouterVisit::settled() const {
  return looked_up_ >= discoveries_.size() && network_.swarm().stats().connecting == 0 && loop_.now() - last_news_ > kQuiet;
}

std::vector<RouterVisit::Stranger> RouterVisit::strangers() const {
  std::vector<Stranger> out;
  for (const auto& onlooker : onlookers_) out.push_back(onlooker->seen());
  return out;
}

std::optional<PublicKey> RouterVisit::member_relaying_as(const PublicKey& relay) const {
  const auto found = relays_.find(relay);
  return found == relays_.end() ? std::nullopt : std::optional(found->second);
}

void RouterVisit::leave(std::function<void()> done) {
  discoveries_.clear();
  node_->shutdown(Duration::zero(), std::move(done));
}

}  // namespace hg::app
