// The server's part of hole punching: what it answers to each message of the client's rounds.
#include <algorithm>

#include "base/log.h"
#include "peer/server.h"
#include "peer/server_slot.h"

namespace hg::peer {
namespace {

bool consistent(wire::Firewall firewall) { return firewall == wire::kFirewallOpen || firewall == wire::kFirewallConsistent; }

bool contains(const std::optional<std::vector<Endpoint>>& addresses, const Endpoint& wanted) {
  return addresses && std::find(addresses->begin(), addresses->end(), wanted) != addresses->end();
}

}  // namespace

bool ServerImpl::start_puncher(Slot& slot, uint64_t client_firewall) {
  Puncher::Events events;
  events.on_abort = [this, &slot] { path_failed(slot); };
  slot.puncher = std::make_unique<Puncher>(
      context_, false, static_cast<wire::Firewall>(std::min<uint64_t>(client_firewall, wire::kFirewallRandom)), std::move(events));
  if (slot.puncher->usable()) return true;
  slot.puncher.reset();
  return false;
}

RoutedReply ServerImpl::sealed(Slot& slot, uint64_t error, const std::optional<Hash32>& token, const std::optional<Hash32>& their_token) {
  const nat::Sampler& nat = slot.puncher->sampler();
  wire::HolepunchPayload payload;
  payload.error = error;
  payload.firewall = nat.firewall();
  payload.round = slot.round;
  payload.punching = slot.puncher->punching();
  payload.addresses = nat.addresses();
  payload.token = token;
  payload.remote_token = their_token;
  return {slot.secure->seal(payload), slot.puncher->socket(), false};
}

RoutedReply ServerImpl::aborted(Slot& slot, uint64_t error) {
  wire::HolepunchPayload payload;
  payload.error = error;
  payload.round = slot.round;
  RoutedReply reply{slot.secure->seal(payload), nullptr, true};
  path_failed(slot);
  return reply;
}

void ServerImpl::on_holepunch(const wire::Holepunch& message, const dht::IncomingRequest& request, std::function<void(RoutedReply)> reply) {
  if (closed_ || message.id >= slots_.size() || !slots_[message.id] || !message.peer_address || message.peer_address->port == 0) return;
  Slot& slot = *slots_[message.id];
  if (!slot.secure) return;
  const auto payload = slot.secure->open(message.payload);
  if (!payload) return;
  slot.heard = true;
  if (!slot.puncher || slot.puncher->stopped() || slot.phase != Slot::Phase::kWaiting) {
    if (slot.phase != Slot::Phase::kProving) reply(aborted(slot));
    return;
  }
  if (payload->error != wire::kErrorNone) return reply(aborted(slot));

  const Endpoint client = *message.peer_address;
  const bool via_our_relay = announcer_.is_relay(request.from);
  const bool echoed = via_our_relay && payload->remote_token && crypto::equal_secret(*payload->remote_token, slot.secure->token(client));
  Puncher& puncher = *slot.puncher;
  if (request.socket == &puncher.socket()->socket()) puncher.sampler().add(request.to, request.from);
  if (payload->round >= slot.round) {
    slot.round = payload->round;
    puncher.update_remote(*payload, echoed ? std::optional(client.address) : std::nullopt);
  }
  const auto analyzed = [this, id = slot.id, expected = &slot, payload = *payload, client, via_our_relay, reply](bool stable) {
    on_analyzed(id, expected, payload, client, via_our_relay, stable, reply);
  };
  puncher.analyze(false, analyzed);
}

void ServerImpl::on_analyzed(size_t id, const Slot* expected, const wire::HolepunchPayload& payload, const Endpoint& client,
                             bool via_our_relay, bool stable, const std::function<void(RoutedReply)>& reply) {
  if (id >= slots_.size() || slots_[id].get() != expected) return;
  Slot& slot = *slots_[id];
  if (slot.puncher->remote_punching() || stable) return answer_punch(slot, payload, client, via_our_relay, reply);
  slot.puncher->analyze(true, [this, &slot, payload, client, via_our_relay, reply](bool now_stable) {
    if (now_stable) return answer_punch(slot, payload, client, via_our_relay, reply);
    reply(aborted(slot));
  });
}

void ServerImpl::answer_punch(Slot& slot, const wire::HolepunchPayload& payload, const Endpoint& client, bool via_our_relay,
                              const std::function<void(RoutedReply)>& reply) {
  Puncher& puncher = *slot.puncher;
  nat::Sampler& nat = puncher.sampler();
  // The client has opened its NAT towards one of our addresses: a probe may get through right away.
  if (consistent(nat.firewall()) && payload.remote_address && contains(nat.addresses(), *payload.remote_address)) puncher.ping(client);

  if (puncher.remote_punching() && !puncher.punching()) {
    if (puncher.involves_random()) context_.random_punches.give_way_to(slot.keys.remote_key);
    if (puncher.involves_random() && !context_.random_punches.may_begin(context_.now(), puncher.verified_host()))
      return reply(aborted(slot, wire::kErrorTryLater));
    if (!puncher.punch()) return reply(aborted(slot));
    slot.timer.arm(context_.now() + kPunchDeadline);
  }
  if (nat.firewall() != wire::kFirewallUnknown) nat.freeze();
  const auto token = via_our_relay ? std::optional(slot.secure->token(client)) : std::nullopt;
  reply(sealed(slot, wire::kErrorNone, token, payload.token));
}

}  // namespace hg::peer
