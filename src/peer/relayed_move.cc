#include "peer/relayed_move.h"

namespace hg::peer {

RelayedMoveImpl::RelayedMoveImpl(Context& context, const BlindRelayClient::Setup& setup, noise::SecureConnection& old, Done done)
    : context_(context),
      old_(old),
      done_(std::move(done)),
      client_(std::make_shared<BlindRelayClient>(context, setup, [this](const auto& paired) { on_paired(paired); })),
      patience_(context.runtime.timers(), [this] { finish(false); }) {
  patience_.arm(context.now() + kPatience);
}

void RelayedMoveImpl::on_paired(const Expected<BlindRelayClient::Paired>& paired) {
  if (!paired) return finish(false);
  context_.counters.relayed++;
  old_.move_to({paired->socket, paired->remote}, paired->id, client_);
  BlindRelayClient::attach(client_, old_);
  finish(true);
}

void RelayedMoveImpl::finish(bool moved) {
  patience_.disarm();
  const Done done = std::move(done_);
  done(moved);
}

}  // namespace hg::peer
