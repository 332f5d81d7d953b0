#include "peer/connector.h"

#include <algorithm>

#include "base/log.h"
#include "crypto/crypto.h"
#include "dht/storage.h"
#include "nat/address.h"

namespace hg::peer {

Connector::Connector(Context& context, const PublicKey& remote, ConnectOptions options, Callback callback)
    : context_(context),
      remote_(remote),
      target_(dht::hash_target(remote)),
      options_(std::move(options)),
      callback_(std::move(callback)),
      deadline_(context.runtime.timers(),
                [this] {
                  fail({"PEER_CONNECTION_FAILED", "no path to the peer in time"});
                }),
      finish_(context.runtime.timers(), [this] { finish(); }),
      pause_(context.runtime.timers(),
             [this] {
               if (const auto go_on = std::exchange(after_pause_, {})) go_on();
             }),
      find_timer_(context.runtime.timers(), [this] { find(); }),
      relay_timer_(context.runtime.timers(), [this] { start_relay(); }) {
  context_.counters.connects++;
  deadline_.arm(context_.now() + kDeadline);
  raw_ = context_.mux.create_stream({.receive_window = noise::SecureConnection::kUnprovenWindow});
  gate_ = StreamGate::guard(*raw_);
  gate_->on_packet = [this](UdpSocket& socket, const Endpoint& from) { on_first_packet(socket, from); };
  if (!write_first_message()) {
    fail({"HANDSHAKE_INVALID", "the key is not a usable point"});
    return;
  }
  options_.via ? try_via() : find();
}

void Connector::try_via() {
  via_owner_ = context_.punch_sockets.owner_of(*options_.via->socket);
  running_++;
  attempts_++;
  find_timer_.arm(context_.now() + kViaWait);
  shake_hands(
      options_.via->remote,
      [this] {
        running_--;
        find();
        check_exhausted();
      },
      options_.via->socket);
}

void Connector::find() {
  if (std::exchange(finding_, true) || reached_ || finished_) return;
  auto relays = options_.relay_addresses.empty() ? context_.relay_cache.get(remote_) : options_.relay_addresses;
  if (const auto route = context_.node.find_route(target_)) relays = {route->relay};
  if (relays.size() > kMaxCandidates) relays.resize(kMaxCandidates);
  if (!relays.empty()) {
    parallel_ = kParallel + 1;
    query_again_ = true;
    known_relays_.assign(relays.begin(), relays.end());
    trying_relays_ = true;
    running_++;
    try_next_relay();
  }
  start_query(std::move(relays));
}

Connector::~Connector() {
  gate_->on_packet = nullptr;
  if (asked_to_punch_) send_abort();
  if (holding_random_) context_.random_punches.release();
  if (relay_setup_) crypto::wipe(relay_setup_->key_pair.secret_key);
  crypto::wipe(keys_.tx);
  crypto::wipe(keys_.rx);
  crypto::wipe(options_.key_pair.secret_key);
}

bool Connector::write_first_message() {
  handshake_.emplace(
      noise::IkHandshake::initiator(options_.key_pair, remote_, noise::dht_namespace(wire::kPeerHandshake), context_.runtime.rng()));
  // A peer that hears of our addresses would wait for us there; one that hears of none goes to the relay at once.
  const auto own = options_.relaying == Relaying::kFirst ? std::nullopt : context_.node.remote_address();
  own_firewall_ = own ? wire::kFirewallOpen : wire::kFirewallUnknown;
  wire::NoisePayload payload;
  payload.firewall = own_firewall_;
  if (own) payload.addresses4.push_back(*own);
  if (options_.local_connection && options_.relaying != Relaying::kFirst)
    for (const Endpoint& local : context_.local_addresses()) payload.addresses4.push_back(local);
  payload.udx = wire::UdxInfo{.id = raw_->id()};
  payload.secret_stream = wire::SecretStreamInfo{};
  if (options_.relay_through && options_.relaying != Relaying::kNever) {
    context_.runtime.rng().fill(relay_token_);
    payload.relay_through = wire::RelayThrough{1, *options_.relay_through, relay_token_};
  }
  payload.move = options_.move;
  auto message = handshake_->write_message(wire::encode(payload));
  if (message) message1_ = std::move(*message);
  return message.ok();
}

// --- finding nodes that know the peer -----------------------------------------------------------------

void Connector::start_query(std::vector<Endpoint> nodes) {
  dht::QueryOptions options;
  options.nodes = std::move(nodes);
  options.retries = 3;
  query_ = dht::find_peer(
      context_.node, target_, std::move(options),
      [this](const dht::Response& response, const wire::Peer&) {
        if (reached_ || finished_ || candidates_.size() >= kMaxCandidates || !tried_.insert(response.from).second) return;
        candidates_.push_back(response.from);
        try_candidates();
      },
      [this](Expected<dht::QueryResult>) {
        if (reached_ || finished_) return;
        if (query_again_) {
          query_again_ = false;
          return start_query({});
        }
        query_over_ = true;
        check_exhausted();
      });
}

void Connector::try_next_relay() {
  while (!known_relays_.empty() && !reached_ && !finished_) {
    const Endpoint relay = known_relays_.front();
    known_relays_.pop_front();
    if (relay.port == 0 || !tried_.insert(relay).second) continue;
    return shake_hands(relay, [this] { try_next_relay(); });
  }
  if (std::exchange(trying_relays_, false)) running_--;
  try_candidates();
  check_exhausted();
}

void Connector::try_candidates() {
  while (!candidates_.empty() && running_ < parallel_ && !reached_ && !finished_) {
    const Endpoint node = candidates_.front();
    candidates_.pop_front();
    running_++;
    attempts_++;
    shake_hands(node, [this] {
      running_--;
      try_candidates();
      check_exhausted();
    });
  }
}

void Connector::check_exhausted() {
  if (reached_ || finished_ || !query_over_ || running_ > 0 || !candidates_.empty()) return;
  if (attempts_ > 0) return fail({"PEER_CONNECTION_FAILED", "no node could reach the peer"});
  fail({"PEER_NOT_FOUND", "no node knows the peer"});
}

// --- handshake ----------------------------------------------------------------------------------------

void Connector::shake_hands(const Endpoint& node, std::function<void()> over, UdpSocket* socket) {
  dht::Command command;
  command.command = wire::kPeerHandshake;
  command.target = target_;
  command.value = wire::encode(wire::Handshake{wire::kFromClient, message1_, {}, {}});
  if (socket == nullptr) answered_by_.push_back(node);
  const auto on_response = [this, node, over = std::move(over)](Expected<dht::Response> response) {
    if (reached_ || finished_) return;
    if (response) on_handshake_reply(node, *response);
    if (!reached_ && !finished_) over();
  };
  dht::RequestOptions options;
  options.socket = socket;
  requests_.push_back(context_.node.request(node, std::move(command), on_response, std::move(options)));
}

void Connector::on_handshake_reply(const Endpoint& node, const dht::Response& response) {
  const auto reply = response.value ? wire::decode_handshake(*response.value) : std::nullopt;
  if (!reply || reply->mode != wire::kReply || response.from != node || reply->noise.empty()) return;
  if (reply->peer_address && reply->peer_address->port == 0) return;
  noise::IkHandshake attempt = *handshake_;  // a forged reply must not spoil the handshake for the true one
  const auto plain = attempt.read_message(reply->noise);
  if (!plain) return;
  auto payload = wire::decode_noise_payload(*plain);
  if (!payload) return;
  const auto session = attempt.session();
  if (!session) return;
  if (payload->version != 1) return fail({"SERVER_INCOMPATIBLE", "the peer speaks another version"});
  if (payload->error != wire::kErrorNone) return fail({"SERVER_ERROR", "the peer reports an error"});
  if (!payload->udx) return fail({"SERVER_ERROR", "the peer sent no stream"});

  keys_ = *session;
  handshake_.reset();
  query_.reset();
  candidates_.clear();
  reached_ = Reached{reply->peer_address.has_value(), node, response.to, reply->peer_address.value_or(node), std::move(*payload)};
  context_.relay_cache.set(remote_, reached_->payload.relay_addresses && !reached_->payload.relay_addresses->empty()
                                        ? *reached_->payload.relay_addresses
                                        : answered_by_);
  choose_path(response.socket);
}

// --- path ---------------------------------------------------------------------------------------------

void Connector::on_first_packet(UdpSocket& socket, const Endpoint& from) {
  if (!reached_) {
    early_packet_ = {&socket, from, context_.punch_sockets.owner_of(socket)};
    return;
  }
  if (relay_ && relay_->is_relay(socket, from)) return;  // the other side was told of the pair first
  connect_path(socket, from);
}

void Connector::choose_path(UdpSocket* replied_on) {
  if (const auto early = std::exchange(early_packet_, {})) return connect_path(*early->socket, early->from);
  UdpSocket& socket = replied_on != nullptr ? *replied_on : context_.node.socket();
  if (!reached_->relayed) return connect_path(socket, reached_->relay);

  plan_relay();
  if (options_.relaying == Relaying::kFirst && relay_pending()) return;
  const wire::NoisePayload& payload = reached_->payload;
  const bool relayed = reached_->server_address != reached_->relay;
  const bool punchable = payload.holepunch && !payload.holepunch->relays.empty();
  if (payload.firewall == wire::kFirewallOpen || (relayed && !punchable)) {
    const auto publicly = std::find_if(payload.addresses4.begin(), payload.addresses4.end(),
                                       [](const Endpoint& a) { return a.port != 0 && !nat::is_bogon(a.address); });
    assumed_path_ = true;
    return connect_path(context_.node.socket(), publicly != payload.addresses4.end() ? *publicly : reached_->server_address);
  }
  if (own_firewall_ == wire::kFirewallOpen) {
    after_pause_ = [this] { path_failed({"HOLEPUNCH_ABORTED", "the peer did not come"}); };
    return pause_.arm(context_.now() + kPassiveWait);
  }
  if (options_.local_connection && relayed && reached_->client_address.address == reached_->server_address.address) try_local_network();
  if (punchable) return begin_punching();
  path_failed({"CANNOT_HOLEPUNCH", "the peer offers no way to punch"});
}

void Connector::try_local_network() {
  std::vector<Endpoint> theirs;
  for (const Endpoint& address : reached_->payload.addresses4)
    if (address.port != 0 && !nat::is_reserved(address.address)) theirs.push_back(address);
  if (theirs.empty()) return;
  const auto own = context_.local_addresses();
  const Endpoint at = nat::match_address(own, theirs).value_or(theirs.front());
  lan_pending_ = true;
  lan_ping_ = context_.node.ping(at, [this, at](Expected<dht::Response> pong) {
    lan_pending_ = false;
    if (done()) return;
    if (pong) return connect_path(context_.node.server_socket(), at);
    if (held_error_) return path_failed(std::move(*held_error_));
    if (!puncher_) path_failed({"HOLEPUNCH_ABORTED", "the peer does not answer on the local network"});
  });
}

void Connector::connect_path(UdpSocket& socket, const Endpoint& to) {
  if (done()) return;
  HG_LOG(kDebug, "peer", "path to {} found{}", to.to_string(), puncher_ ? " by punching" : "");
  auto owner = context_.punch_sockets.owner_of(socket);  // before the puncher lets go of it
  drop_relay();
  run_on(socket, to, static_cast<uint32_t>(reached_->payload.udx->id), std::move(owner));
}

void Connector::run_on(UdpSocket& socket, const Endpoint& to, uint32_t id, std::shared_ptr<void> attachment) {
  gate_->on_packet = nullptr;
  pause_.disarm();
  lan_ping_.cancel();
  asked_to_punch_ = false;
  if (std::exchange(holding_random_, false)) context_.random_punches.release();
  if (puncher_) puncher_->stop(!relay_);
  raw_->connect(socket, to, id);
  auto connection = std::make_unique<noise::SecureConnection>(context_.runtime, std::move(raw_), keys_, std::move(attachment));
  if (relay_) BlindRelayClient::attach(relay_, *connection);
  if (const auto& move = reached_->payload.move; move && options_.move && move->session == options_.move->session)
    connection->set_continuation(noise::Continuation{move->session, static_cast<uint32_t>(move->udx_id), move->pair_token});
  proof_ = std::make_unique<Proof>(context_.runtime, std::move(connection), [this](auto proven) {
    if (finished_) return;
    if (!proven && proven.error().code == "ETIMEDOUT") return fail(proven.error());
    if (!proven) return fail({"PEER_CONNECTION_FAILED", proven.error().code + ": " + proven.error().message});
    connection_ = std::move(*proven);
    finished_ = true;
    finish();
  });
}

// --- end ----------------------------------------------------------------------------------------------

/// A way other than the relay came to nothing; what else is under way goes on.
void Connector::path_failed(Error error) {
  if (done()) return;
  if (!lan_pending_ && !relay_pending()) return fail(std::move(error));
  if (!held_error_) held_error_ = std::move(error);
  if (!lan_pending_ && relay_timer_.armed()) start_relay();
}

void Connector::fail(Error error) {
  if (finished_) return;
  finished_ = true;
  drop_relay();
  find_timer_.disarm();
  context_.counters.connects_failed++;
  error_ = std::move(error);
  if (puncher_) puncher_->stop();
  if (asked_to_punch_) send_abort();
  pause_.disarm();
  finish_.arm(context_.now());
}

void Connector::finish() {
  deadline_.disarm();
  find_timer_.disarm();
  const Callback callback = std::move(callback_);
  if (connection_) {
    callback(std::move(connection_));
  } else {
    callback(std::move(*error_));
  }
}

}  // namespace hg::peer
