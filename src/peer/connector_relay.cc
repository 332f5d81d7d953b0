// The client's way through a relay: whose offer counts, when to begin, what happens to the stream.
//
//   the server's offer, else our own ─▶ hopeless NATs, or wanted first: at once │ else after kRelayAfter, or once punching failed
//     ─▶ paired ─▶ the stream runs on the relay's path; the connection holds the client    (a direct path that is first drops it)
#include "base/log.h"
#include "peer/connector.h"

namespace hg::peer {

void Connector::plan_relay() {
  if (options_.relaying == Relaying::kNever) return;
  const auto& theirs = reached_->payload.relay_through;
  if (!theirs && !options_.relay_through) return;
  relay_setup_.emplace();
  relay_setup_->key_pair = options_.key_pair;
  relay_setup_->relay = theirs ? theirs->public_key : *options_.relay_through;
  relay_setup_->token = theirs ? theirs->token : relay_token_;
  relay_setup_->is_initiator = !theirs;
  relay_setup_->stream_id = raw_->id();
  if (relay_setup_->relay == remote_ || relay_setup_->relay == options_.key_pair.public_key) return relay_setup_.reset();
  if (options_.relaying == Relaying::kFirst || context_.randomized()) return start_relay();
  relay_timer_.arm(context_.now() + (options_.move ? BlindRelayClient::kMoveAfter : kRelayAfter));
}

void Connector::start_relay() {
  relay_timer_.disarm();
  if (done() || relay_ || !relay_setup_) return;
  HG_LOG(kDebug, "peer", "going through relay {}", to_hex(ByteView(relay_setup_->relay).first(4)));
  relay_ = std::make_shared<BlindRelayClient>(context_, *relay_setup_, [this](auto paired) { on_relay(std::move(paired)); });
}

void Connector::drop_relay() {
  relay_timer_.disarm();
  relay_.reset();
}

void Connector::on_relay(Expected<BlindRelayClient::Paired> paired) {
  if (done()) return drop_relay();
  if (!paired) {
    drop_relay();
    const bool punching = puncher_ && !puncher_->stopped();
    if (held_error_ || !(punching || lan_pending_ || pause_.armed()))
      fail({"RELAY_ABORTED", paired.error().code + ": " + paired.error().message});
    return;
  }
  context_.counters.relayed++;
  run_on(*paired->socket, paired->remote, paired->id, relay_);
  relay_.reset();
}

}  // namespace hg::peer
