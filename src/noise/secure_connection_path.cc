// How a connection outlives its path: holding on while the peer is silent, moving, following.
#include <algorithm>

#include "crypto/crypto.h"
#include "noise/secure_connection.h"

namespace hg::noise {
namespace {

constexpr Duration kStreamPatience = Liveness::kHold + 30s;  // the stream leaves the judgement to the connection

}  // namespace

Hash32 SecureConnection::session_id() const { return crypto::blake2b_256({as_bytes("hypergate session"), handshake_hash_}); }

void SecureConnection::allow_moves() {
  if (movable() || destroyed_ || closed_) return;
  liveness_.be_patient();
  follower_.emplace(local_key_ > remote_key_);
  follower_->moved(runtime_.now());
  stream_->set_dead_after(kStreamPatience);
  // The peer's first packets over a new path may come before we have moved there ourselves.
  stream_->set_firewall([](UdpSocket&, const Endpoint& from) { return from.port != 0; });
  stream_->set_packet_observer([this](UdpSocket& socket, const Endpoint& from, bool fits) { on_path_packet(socket, from, fits); });
  stream_->set_message_handler([this](ByteView envelope) { on_unordered(envelope); });
  arm_tick();
  tell(PathEvent::kMovable);
}

void SecureConnection::test_path() {
  if (destroyed_ || closed_) return;
  send_keepalive();
  liveness_.suspect(runtime_.now());
  if (movable()) tick_.arm(runtime_.now());
}

void SecureConnection::tell(PathEvent event) {
  if (path_observer_) path_observer_(event);
  if (on_answering_ && event != PathEvent::kMovable) on_answering_(event == PathEvent::kAnswering);
}

void SecureConnection::on_answering_again() {
  // What was sent into the void meanwhile is not left to retransmission timers that have backed off.
  if (!relocated_ && runtime_.now() - silent_since_ >= kLongSilence)
    relocate(*stream_->socket(), stream_->remote(), stream_->remote_id());
  else if (!relocated_)
    stream_->retry_now();
  tell(PathEvent::kAnswering);
}

void SecureConnection::relocate(UdpSocket& socket, const Endpoint& remote, uint32_t remote_id) {
  stream_->relocate(socket, remote, remote_id);
  follower_->moved(runtime_.now());
  stream_->probe_peer();
  relocated_ = true;
}

void SecureConnection::move_to(SecureConnection& fresh) {
  if (fresh.continuation_) move_to(fresh.path(), fresh.continuation_->remote_stream_id, fresh.attachment_);
}

void SecureConnection::move_to(const Path& path, uint32_t remote_stream_id, std::shared_ptr<void> attachment) {
  if (!movable() || destroyed_ || closed_ || path.socket == nullptr) return;
  leave_path();
  attachment_ = std::move(attachment);
  relay_.reset();
  relocate(*path.socket, path.remote, remote_stream_id);
  liveness_.suspect(runtime_.now());
}

// --- the peer elsewhere -------------------------------------------------------------------------------

void SecureConnection::on_path_packet(UdpSocket& socket, const Endpoint& from, bool fits) {
  arrival_ = {};
  if (!fits || destroyed_ || closed_) return;
  arrival_ = {&socket, from};
  const TimePoint now = runtime_.now();
  if (liveness_.silent()) tick_.arm(now);
  if (arrival_ == place()) return follower_->heard_here(now);
  // A relay's stream id is not the peer's, and a socket of nobody's cannot be held on to.
  if (relayed() || (&socket != stream_->socket() && former(&socket) == nullptr)) return;
  const auto challenge = follower_->heard_elsewhere(arrival_, stream_->stats().smoothed_rtt, now, runtime_.rng());
  if (challenge) stream_->send_message_to(socket, from, unordered().seal(challenge->encode()));
}

void SecureConnection::on_path_message(const PathMessage& message) {
  if (arrival_.socket == nullptr) return;
  if (message.kind == PathMessage::Kind::kChallenge) {
    const PathMessage answer{PathMessage::Kind::kAnswer, message.token};
    stream_->send_message_to(*arrival_.socket, arrival_.remote, unordered().seal(answer.encode()));
    return;
  }
  const TimePoint now = runtime_.now();
  if (!relayed() && follower_->on_answer(message, arrival_, stream_->stats().smoothed_rtt, now)) tick_.arm(now);
}

void SecureConnection::follow_peer() {
  if (!follower_ || destroyed_ || closed_) return;
  const auto act = follower_->step(stream_->stats().smoothed_rtt, runtime_.now());
  if (act.ask) stream_->probe_peer();
  if (act.move) follow_to(*act.move);
}

void SecureConnection::follow_to(const PathPlace& there) {
  if (there.socket != stream_->socket()) {
    FormerPath* known = former(there.socket);
    if (known == nullptr) return;
    auto attachment = known->attachment;
    leave_path();
    attachment_ = std::move(attachment);
  }
  relocate(*there.socket, there.remote, stream_->remote_id());
}

SecureConnection::FormerPath* SecureConnection::former(const UdpSocket* socket) {
  const auto found = std::find_if(former_.begin(), former_.end(), [&](const FormerPath& p) { return p.socket == socket; });
  return found == former_.end() ? nullptr : &*found;
}

void SecureConnection::leave_path() {
  if (former_.size() >= kMaxFormerPaths) former_.erase(former_.begin());
  former_.push_back({stream_->socket(), std::move(attachment_), runtime_.now()});
}

void SecureConnection::forget_former_paths(TimePoint now) {
  std::erase_if(former_, [&](const FormerPath& p) { return now - p.left_at >= kKeepFormerPath; });
}

}  // namespace hg::noise
