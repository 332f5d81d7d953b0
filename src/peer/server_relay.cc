// The server's way through a relay: whose offer counts, when to begin, what happens to the stream.
#include "base/log.h"
#include "nat/address.h"
#include "peer/server.h"
#include "peer/server_slot.h"

namespace hg::peer {

/// Before the reply: the client's offer, else one of ours.
void ServerImpl::offer_relay(Slot& slot, const PublicKey& client, const std::optional<wire::RelayThrough>& theirs) {
  BlindRelayClient::Setup setup;
  setup.is_initiator = !theirs;
  if (theirs) {
    setup.relay = theirs->public_key;
    setup.token = theirs->token;
  } else {
    const auto ours = options_.relay_through ? options_.relay_through(client) : std::nullopt;
    if (!ours) return;
    setup.relay = *ours;
    context_.runtime.rng().fill(setup.token);
  }
  if (setup.relay == client || setup.relay == key_pair_.public_key) return;
  setup.key_pair = key_pair_;
  slot.relay_setup = std::move(setup);
}

/// `at_once`: the client names no address of its own, so it wants nothing but the relay.
void ServerImpl::plan_relay(Slot& slot, bool at_once) {
  if (!slot.relay_setup) return;
  slot.relay_setup->stream_id = slot.raw->id();
  const Duration patience = slot.move ? BlindRelayClient::kMoveAfter : kRelayAfter;
  slot.relay_timer.arm(context_.now() + (at_once || context_.randomized() ? Duration::zero() : patience));
}

void ServerImpl::start_relay(Slot& slot) {
  slot.relay_timer.disarm();
  if (slot.phase != Slot::Phase::kWaiting || slot.relay) return;
  size_t busy = 0;
  size_t of_host = 0;
  for (const auto& other : slots_) {
    if (!other || !other->relay) continue;
    busy++;
    if (other->origin.host == slot.origin.host) of_host++;
  }
  const size_t most_of_host = nat::is_private(slot.origin.host) ? kMaxRelayed : kMaxRelayedPerHost;
  if (busy >= kMaxRelayed || of_host >= most_of_host) return;
  HG_LOG(kDebug, "peer", "client {}: going through relay {}", slot.client.to_string(), to_hex(ByteView(slot.relay_setup->relay).first(4)));
  const TimePoint until = context_.now() + BlindRelayClient::kTimeout + 1s;
  if (slot.timer.deadline() < until) slot.timer.arm(until);
  slot.relay =
      std::make_shared<BlindRelayClient>(context_, *slot.relay_setup, [this, &slot](auto paired) { on_relay(slot, std::move(paired)); });
}

void ServerImpl::on_relay(Slot& slot, Expected<BlindRelayClient::Paired> paired) {
  if (slot.phase != Slot::Phase::kWaiting) return;
  if (!paired) {
    slot.relay.reset();
    const bool punching_failed = slot.puncher && slot.puncher->stopped();
    if (punching_failed) give_up(slot);
    return;
  }
  slot.heard = true;
  context_.counters.relayed++;
  run_on(slot, *paired->socket, paired->remote, paired->id, slot.relay);
  slot.relay.reset();
}

/// A way other than the relay came to nothing.
void ServerImpl::path_failed(Slot& slot) {
  if (slot.phase != Slot::Phase::kWaiting) return;
  if (slot.relay_timer.armed()) start_relay(slot);
  if (!slot.relay) return give_up(slot);
  if (slot.puncher) slot.puncher->stop();
}

}  // namespace hg::peer
