#include "peer/host.h"

#include "base/log.h"
#include "peer/blind_relay_server.h"
#include "peer/connector.h"
#include "peer/context.h"
#include "peer/registry.h"
#include "peer/relayed_move.h"
#include "peer/router.h"
#include "peer/server.h"

namespace hg::peer {

class HostImpl final : private dht::NodeListener {
 public:
  HostImpl(Runtime& runtime, dht::Node& node, udx::Mux& mux) : context_(runtime, node, mux), router_(context_, registry_) {
    node.set_datagram_filter(
        [&mux](UdpSocket& socket, const Endpoint& from, ByteView data) { return mux.on_datagram(socket, from, data); });
    node.set_drained_handler([&mux](UdpSocket&) { mux.on_drained(); });
    node.add_listener(this);
  }
  ~HostImpl() override {
    context_.node.remove_listener(this);
    context_.node.set_datagram_filter({});
    context_.node.set_drained_handler({});
  }

  Context& context() { return context_; }
  ServerRegistry& registry() { return registry_; }

 private:
  void on_wakeup() override { refresh_all(); }
  void on_network_change() override { refresh_all(); }
  void on_nat_update() override { refresh_all(); }
  void on_health(dht::Health health) override {
    if (health == dht::Health::kOnline) refresh_all();
  }
  void refresh_all() {
    registry_.for_each([](ServerImpl& server) { server.refresh(); });
  }

  Context context_;
  ServerRegistry registry_;
  Router router_;
};

Host::Host(Runtime& runtime, dht::Node& node, udx::Mux& mux) : impl_(std::make_unique<HostImpl>(runtime, node, mux)) {}
Host::~Host() = default;

Expected<std::unique_ptr<Server>> Host::listen(const KeyPair& key_pair, ListenOptions options) {
  const Hash32 target = dht::hash_target(key_pair.public_key);
  if (impl_->registry().find(target) != nullptr) return Error{"KEYPAIR_ALREADY_USED", "this key is being listened on"};
  auto server = std::make_unique<ServerImpl>(impl_->context(), impl_->registry(), key_pair, std::move(options));
  impl_->registry().add(target, server.get());
  return std::unique_ptr<Server>(std::move(server));
}

std::unique_ptr<Attempt> Host::connect(const PublicKey& remote, ConnectOptions options,
                                       std::function<void(Expected<std::unique_ptr<noise::SecureConnection>>)> callback) {
  return std::make_unique<Connector>(impl_->context(), remote, std::move(options), std::move(callback));
}

std::unique_ptr<RelayedMove> Host::move_onto_relay(const KeyPair& key_pair, noise::SecureConnection& old,
                                                   const noise::SecureConnection& fresh, std::function<void(bool moved)> done) {
  BlindRelayClient::Setup setup;
  setup.key_pair = key_pair;
  setup.relay = *fresh.stats().relay;
  setup.token = *fresh.continuation()->pair_token;
  setup.is_initiator = fresh.is_initiator();
  setup.stream_id = old.udx_id();
  auto move = std::make_unique<RelayedMoveImpl>(impl_->context(), setup, old, std::move(done));
  crypto::wipe(setup.key_pair.secret_key);
  return move;
}

void Host::set_relays(RelaySource* relays) { impl_->context().relays = relays; }

Expected<std::unique_ptr<BlindRelayServer>> Host::serve_relay(BlindRelayOptions options) {
  return BlindRelayServerImpl::open(*this, impl_->context(), std::move(options));
}

dht::Node& Host::node() { return impl_->context().node; }
const HostCounters& Host::counters() const { return impl_->context().counters; }

}  // namespace hg::peer
