// The client's rounds of hole punching:
//
//   probe round, via the server's relay: both learn each other's NAT kind and addresses ─▶ (again, at most once)
//   punch round, via our own relay: tokens prove who receives where; the server starts ─▶ we start
#include <algorithm>

#include "base/log.h"
#include "crypto/crypto.h"
#include "peer/connector.h"

namespace hg::peer {
namespace {

constexpr Duration kLetRemoteAnalyse = 1s;  // hyperdht: a server that does not know its NAT yet gets this long
constexpr Duration kBusyPause = 250ms;      // while another random punch of ours runs or has just run
constexpr int kBusyPauses = 8;              // together well under the time a server waits for our next message

wire::RelayInfo pick_server_relay(const std::vector<wire::RelayInfo>& relays, const Endpoint& ours) {
  const auto same = std::find_if(relays.begin(), relays.end(), [&](const wire::RelayInfo& r) { return r.relay_address == ours; });
  return same != relays.end() ? *same : relays.front();
}

}  // namespace

void Connector::begin_punching() {
  Puncher::Events events;
  events.on_connect = [this](const std::shared_ptr<PunchSocket>& socket, const Endpoint& from) { connect_path(socket->socket(), from); };
  events.on_abort = [this] { punch_failed({"HOLEPUNCH_ABORTED", "no probe got through"}); };
  const uint64_t firewall = std::min<uint64_t>(reached_->payload.firewall, wire::kFirewallRandom);
  puncher_ = std::make_unique<Puncher>(context_, true, static_cast<wire::Firewall>(firewall), std::move(events));
  if (!puncher_->usable()) return punch_failed({"CANNOT_HOLEPUNCH", "no socket could be opened"});
  secure_.emplace(noise::holepunch_secret(keys_.handshake_hash), context_.runtime.rng());
  server_relay_ = pick_server_relay(reached_->payload.holepunch->relays, reached_->relay);
  server_address_ = reached_->server_address;
  probe_round(true);
}

wire::HolepunchPayload Connector::round_payload() {
  wire::HolepunchPayload payload;
  payload.firewall = puncher_->sampler().firewall();
  payload.addresses = puncher_->sampler().addresses();
  payload.round = round_++;
  return payload;
}

void Connector::send_round(const Endpoint& peer_address, const Endpoint& relay, wire::HolepunchPayload payload, PunchCallback callback) {
  dht::Command command;
  command.command = wire::kPeerHolepunch;
  command.target = target_;
  command.value = wire::encode(wire::Holepunch{wire::kFromClient, reached_->payload.holepunch->id, secure_->seal(payload), peer_address});
  dht::RequestOptions options;
  options.socket = &puncher_->socket()->socket();
  const auto on_response = [this, peer_address, relay, sent_token = payload.token,
                            callback = std::move(callback)](Expected<dht::Response> response) {
    if (done() || puncher_->stopped()) return;
    if (!response) return punch_failed(response.error());
    const auto reply = response->value ? wire::decode_holepunch(*response->value) : std::nullopt;
    if (!reply || reply->mode != wire::kReply || response->from != relay)
      return punch_failed({"BAD_HOLEPUNCH_REPLY", "the relay's answer makes no sense"});
    auto theirs = secure_->open(reply->payload);
    if (!theirs) return punch_failed({"HOLEPUNCH_INVALID", "the peer's answer is forged"});
    if (theirs->error != wire::kErrorNone) asked_to_punch_ = false;
    if (theirs->error == wire::kErrorTryLater) return punch_failed({"TRY_LATER", "the peer is busy with another random punch"});
    if (theirs->error != wire::kErrorNone)
      return punch_failed({"REMOTE_ABORTED", "the peer gave up punching, code " + std::to_string(theirs->error)});
    const bool echoed = sent_token && theirs->remote_token && crypto::equal_secret(*sent_token, *theirs->remote_token);
    puncher_->update_remote(*theirs, echoed ? std::optional(peer_address.address) : std::nullopt);
    callback({std::move(*theirs), reply->peer_address.value_or(relay), response->from, response->to});
  };
  punch_request_ = context_.node.request(relay, std::move(command), on_response, std::move(options));
}

void Connector::probe_round(bool retry) {
  if (server_address_.port != 0) puncher_->open_session(server_address_);
  wire::HolepunchPayload payload = round_payload();
  payload.remote_address = server_address_;
  send_round(server_relay_.peer_address, server_relay_.relay_address, std::move(payload),
             [this, retry](const PunchReply& reply) { on_probe_reply(reply, retry); });
}

void Connector::on_probe_reply(const PunchReply& reply, bool retry) {
  puncher_->sampler().add(reply.to, reply.from);
  remote_token_ = reply.payload.token;
  reported_address_ = reply.peer_address;
  const auto analyse = [this, retry] {
    puncher_->analyze(false, [this, retry](bool stable) {
      if (done()) return;
      if (stable) return after_analysis(retry);
      puncher_->analyze(true, [this, retry](bool now_stable) {
        if (done()) return;
        now_stable ? probe_round(false) : after_analysis(retry);
      });
    });
  };
  if (puncher_->remote_firewall() != wire::kFirewallUnknown) return analyse();
  after_pause_ = [this, analyse] {
    if (!done() && !puncher_->stopped()) analyse();
  };
  pause_.arm(context_.now() + kLetRemoteAnalyse);
}

void Connector::after_analysis(bool retry) {
  const wire::Firewall remote = puncher_->remote_firewall();
  const wire::Firewall own = puncher_->sampler().firewall();
  if (retry && (remote == wire::kFirewallUnknown || !remote_token_)) return probe_round(false);
  if (remote == wire::kFirewallUnknown || own == wire::kFirewallUnknown)
    return abort_punching({"HOLEPUNCH_PROBE_TIMEOUT", "the kind of NAT could not be found out"});
  if (remote >= wire::kFirewallRandom && own >= wire::kFirewallRandom)
    return abort_punching({"HOLEPUNCH_DOUBLE_RANDOMIZED_NATS", "both NATs choose random ports"});
  if (server_relay_.relay_address == reached_->relay && reported_address_ != server_address_) {
    server_address_ = reported_address_;
    puncher_->open_session(server_address_);
  }
  punch_round();
}

void Connector::punch_round() {
  puncher_->sampler().freeze();
  if (puncher_->involves_random()) {
    if (!context_.random_punches.may_begin(context_.now(), std::nullopt)) return punch_when_free();
    holding_random_ = true;
    context_.random_punches.claim(options_.key_pair.public_key, remote_, [this] {
      punch_failed({"HOLEPUNCH_ABORTED", "the peer's own attempt goes first"});
    });
  }
  wire::HolepunchPayload payload = round_payload();
  payload.punching = true;
  asked_to_punch_ = true;
  payload.token = secure_->token(server_address_);
  payload.remote_token = remote_token_;
  send_round(server_address_, reached_->relay, std::move(payload), [this](const PunchReply&) { on_punch_reply(); });
}

void Connector::punch_when_free() {
  if (busy_pauses_++ == kBusyPauses) return punch_failed({"TRY_LATER", "another random punch is running or just ran"});
  after_pause_ = [this] {
    if (!done() && !puncher_->stopped()) punch_round();
  };
  pause_.arm(context_.now() + kBusyPause);
}

void Connector::on_punch_reply() {
  if (!puncher_->remote_punching()) return punch_failed({"REMOTE_NOT_HOLEPUNCHING", "the peer does not punch"});
  const bool claimed = std::exchange(holding_random_, false);
  if (claimed) context_.random_punches.release();
  if (!claimed && puncher_->involves_random() && !context_.random_punches.may_begin(context_.now(), std::nullopt))
    return punch_failed({"TRY_LATER", "the peer's NAT is a random one after all, and another random punch is running or just ran"});
  const bool started = puncher_->punch();
  if (!started && !done()) punch_failed({"REMOTE_NOT_HOLEPUNCHABLE", "no strategy fits the two NATs"});
}

void Connector::abort_punching(Error error) {
  send_abort();
  punch_failed(std::move(error));
}

void Connector::send_abort() {
  asked_to_punch_ = false;
  wire::HolepunchPayload payload;
  payload.error = wire::kErrorAborted;
  payload.round = round_++;
  dht::Command command;
  command.command = wire::kPeerHolepunch;
  command.target = target_;
  command.value =
      wire::encode(wire::Holepunch{wire::kFromClient, reached_->payload.holepunch->id, secure_->seal(payload), server_relay_.peer_address});
  dht::RequestOptions options;
  options.retries = 0;
  context_.node
      .request(
          server_relay_.relay_address, std::move(command), [](Expected<dht::Response>) {}, std::move(options))
      .detach();
}

void Connector::punch_failed(Error error) {
  if (done()) return;
  HG_LOG(kDebug, "peer", "punching failed: {} ({})", error.code, error.message);
  if (std::exchange(holding_random_, false)) context_.random_punches.release();
  puncher_->stop();
  if (asked_to_punch_) send_abort();
  path_failed(std::move(error));
}

}  // namespace hg::peer
