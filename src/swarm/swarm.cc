#include "swarm/swarm.h"

#include "swarm/swarm_impl.h"

namespace hg::swarm {

Swarm::Swarm(Runtime& runtime, peer::Host& host, SwarmOptions options) : impl_(std::make_unique<Impl>(runtime, host, std::move(options))) {}
Swarm::~Swarm() = default;

void Swarm::set_on_connection(OnConnection callback) { impl_->on_connection = std::move(callback); }
std::unique_ptr<Discovery> Swarm::join(const Topic& topic, JoinOptions options) { return impl_->join(topic, options); }
void Swarm::ban(const PublicKey& key) { impl_->ban(key); }
void Swarm::confirm(const PublicKey& key) { impl_->confirm(key); }
void Swarm::set_relay(const PublicKey& peer, const std::optional<PublicKey>& relay) { impl_->set_relay(peer, relay); }
bool Swarm::banned(const PublicKey& key) const { return impl_->banned(key); }
const PublicKey& Swarm::public_key() const { return impl_->public_key(); }
SwarmStats Swarm::stats() const { return impl_->stats(); }
void Swarm::network_changed() { impl_->network_changed(); }
void Swarm::close(std::function<void()> done) { impl_->close(std::move(done)); }

}  // namespace hg::swarm
