// Connections that outlive their path.
//
//   silent or relayed ─▶ Mover: fresh connect, its handshake names the old session
//   fresh, agreed on   ─▶ the old one moves to its path; the fresh one stays as an escort for a few seconds, then goes
//     relayed          ─▶ first the old one's stream is paired at that relay as well (both ends, peer/relayed_move.h)
//   fresh, not agreed  ─▶ the peer has lost the old one: the fresh one takes its place; so, too, where that pair does not come about
#include <algorithm>

#include "base/log.h"
#include "swarm/swarm_impl.h"

namespace hg::swarm {

void Swarm::Impl::on_path_event(const PublicKey& key, const noise::SecureConnection* connection, noise::PathEvent event) {
  const auto found = links_.find(key);
  if (closed_ || found == links_.end() || found->second.connection != connection) return;
  Link& link = found->second;
  if (!link.mover) {
    link.mover = std::make_unique<Mover>(
        runtime_, [this, key](Mover::Why why, Mover::Callback callback) { return start_move(key, why, std::move(callback)); },
        [this, key](std::unique_ptr<noise::SecureConnection> fresh) { on_fresh(key, std::move(fresh)); });
  }
  tell_mover(link);
  if (event != noise::PathEvent::kSilent) return;
  // Should the peer have been started anew, it has another key.
  const auto record = records_.find(key);
  hub_->on_loss(record != records_.end() ? record->second.topics : std::vector<Topic>{});
}

void Swarm::Impl::tell_mover(Link& link) {
  using Why = Mover::Why;
  link.mover->want(!link.connection->answering() ? Why::kSilent : link.connection->relayed() ? Why::kRelayed : Why::kNothing);
}

std::optional<uint32_t> Swarm::Impl::find_session(const PublicKey& key, const Hash32& session) const {
  const auto found = links_.find(key);
  if (closed_ || found == links_.end() || found->second.heir) return std::nullopt;
  const noise::SecureConnection* connection = found->second.connection;
  if (connection == nullptr || !connection->movable() || connection->closed() || connection->session_id() != session) return std::nullopt;
  return connection->udx_id();
}

std::unique_ptr<peer::Attempt> Swarm::Impl::start_move(const PublicKey& key, Mover::Why why, Mover::Callback callback) {
  const auto under_way =
      std::count_if(links_.begin(), links_.end(), [](const auto& l) { return l.second.mover && l.second.mover->trying(); });
  if (static_cast<size_t>(under_way) >= kMaxMoves) return nullptr;
  const noise::SecureConnection& old = *links_.at(key).connection;
  peer::ConnectOptions options;
  options.key_pair = options_.key_pair;
  options.move = wire::MoveInfo{old.session_id(), old.udx_id()};
  if (why == Mover::Why::kSilent) {  // who is relayed already seeks a direct path; without an offer of ours the peer makes none
    options.relay_through = relays_.choose(key, 0, old.stats().relay);
    options.move->pair_token = runtime_.rng().array<32>();
    if (old.relayed()) options.relaying = peer::Relaying::kFirst;
  }
  if (const auto record = records_.find(key); record != records_.end()) options.relay_addresses = record->second.relay_addresses;
  return host_.connect(key, std::move(options), std::move(callback));
}

void Swarm::Impl::on_fresh(const PublicKey& key, std::unique_ptr<noise::SecureConnection> fresh) {
  const auto found = links_.find(key);
  if (closed_ || found == links_.end() || fresh->closed()) return;
  if (take_path(fresh)) return;
  HG_LOG(kDebug, "swarm", "the peer no longer has the connection that was to move");
  replace(found->second, std::move(fresh));
}

bool Swarm::Impl::take_path(std::unique_ptr<noise::SecureConnection>& fresh) {
  if (!fresh->continuation()) return false;
  const PublicKey key = fresh->remote_key();
  if (!find_session(key, fresh->continuation()->session)) {
    fresh->destroy();
    return true;
  }
  Link& link = links_.at(key);
  fresh->relayed() ? take_relayed_path(link, std::move(fresh)) : take_direct_path(link, std::move(fresh));
  return true;
}

void Swarm::Impl::take_direct_path(Link& link, std::unique_ptr<noise::SecureConnection> fresh) {
  link.relayed_move.reset();
  link.relayed_fresh.reset();
  link.connection->move_to(*fresh);
  if (link.mover) tell_mover(link);
  stats_.moves++;
  HG_LOG(kDebug, "swarm", "connection moved to {}", fresh->stats().remote.to_string());
  escort(std::move(fresh));
}

void Swarm::Impl::take_relayed_path(Link& link, std::unique_ptr<noise::SecureConnection> fresh) {
  const PublicKey key = fresh->remote_key();
  if (!fresh->continuation()->pair_token) {  // one of the two does not know how
    fresh->set_continuation(std::nullopt);
    return replace(link, std::move(fresh));
  }
  // Where both have brought a path at the same time, both take that of the larger key.
  const auto preferred = [&](const noise::SecureConnection& one) { return one.is_initiator() == (public_key() > key); };
  if (link.relayed_move && preferred(*link.relayed_fresh) && !preferred(*fresh)) return;
  link.relayed_move = host_.move_onto_relay(options_.key_pair, *link.connection, *fresh, [this, key](bool moved) {
    const PublicKey peer = key;  // the callback may go with what it ends
    on_relayed_move_over(peer, moved);
  });
  link.relayed_fresh = std::move(fresh);
}

void Swarm::Impl::on_relayed_move_over(const PublicKey& key, bool moved) {
  Link& link = links_.at(key);
  const auto move = std::move(link.relayed_move);
  auto fresh = std::move(link.relayed_fresh);
  if (!moved && !link.connection->answering() && !fresh->closed()) {
    HG_LOG(kDebug, "swarm", "the connection could not be moved onto the relay: a new one takes its place");
    fresh->set_continuation(std::nullopt);
    return replace(link, std::move(fresh));
  }
  if (link.mover) tell_mover(link);
  if (!moved) return;
  stats_.moves++;
  stats_.relayed++;
  HG_LOG(kInfo, "swarm", "no direct path to {}: the connection goes on through relay {}", to_hex(ByteView(key).first(4)),
         to_hex(ByteView(*link.connection->stats().relay).first(4)));
  escort(std::move(fresh));
}

void Swarm::Impl::escort(std::unique_ptr<noise::SecureConnection> fresh) {
  if (escorts_.size() >= kMaxEscorts) escorts_.erase(escorts_.begin());
  const TimePoint until = runtime_.now() + (fresh->is_initiator() ? kEscortInitiator : kEscortResponder);
  escorts_.push_back({std::move(fresh), until});
  if (!escorts_timer_.armed()) escorts_timer_.arm(until);
}

void Swarm::Impl::on_escorts_due() {
  const TimePoint now = runtime_.now();
  std::erase_if(escorts_, [&](const Escort& e) { return e.until <= now; });
  for (const Escort& e : escorts_)
    if (!escorts_timer_.armed() || e.until < escorts_timer_.deadline()) escorts_timer_.arm(e.until);
}

}  // namespace hg::swarm
