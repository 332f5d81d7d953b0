// The life of a listened key and the answering of handshakes; punch messages are in server_punch.cc.
#include "peer/server.h"

#include <algorithm>
#include <tuple>

#include "base/log.h"
#include "crypto/crypto.h"
#include "dht/storage.h"
#include "nat/address.h"
#include "noise/handshake.h"
#include "peer/registry.h"
#include "peer/server_slot.h"

namespace hg::peer {
namespace {

constexpr size_t kRefused = std::numeric_limits<size_t>::max();

std::vector<Endpoint> private_only(const std::vector<Endpoint>& addresses) {
  std::vector<Endpoint> out;
  std::copy_if(addresses.begin(), addresses.end(), std::back_inserter(out), [](const Endpoint& a) { return nat::is_private(a.address); });
  return out;
}

}  // namespace

ServerImpl::ServerImpl(Context& context, ServerRegistry& registry, const KeyPair& key_pair, ListenOptions options)
    : context_(context),
      registry_(registry),
      key_pair_(key_pair),
      target_(dht::hash_target(key_pair.public_key)),
      options_(std::move(options)),
      announcer_(context, key_pair, target_) {
  context_.node.storage().retain(target_, wire::encode(wire::Peer{key_pair_.public_key, {}}));
  announcer_.start(
      [this, alive = std::weak_ptr<int>(alive_)] {
        if (alive.expired()) return;
        listening_ = true;
        for (auto& callback : std::exchange(on_listening_, {})) callback();
      },
      options_.on_forgotten);
}

ServerImpl::~ServerImpl() {
  if (!closed_) {
    registry_.remove(target_);
    context_.node.storage().release(target_);
  }
  crypto::wipe(key_pair_.secret_key);
}

void ServerImpl::on_listening(std::function<void()> callback) {
  if (!listening_) {
    on_listening_.push_back(std::move(callback));
    return;
  }
  context_.runtime.post([callback = std::move(callback), alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) callback();
  });
}

void ServerImpl::close(std::function<void()> done) {
  if (closed_) return;
  closed_ = true;
  registry_.remove(target_);
  context_.node.storage().release(target_);
  slots_.clear();
  seen_.clear();
  seen_order_.clear();
  on_listening_.clear();
  announcer_.stop(std::move(done));
}

// --- slots ------------------------------------------------------------------------------------------

ServerImpl::Origin ServerImpl::origin_of(const wire::Handshake& message, const dht::IncomingRequest& request) const {
  const auto& seen_by_relay = message.mode == wire::kFromSecondRelay ? message.relay_address : message.peer_address;
  if (!message.peer_address || !seen_by_relay || !announcer_.is_relay(request.from)) return {request.from.address, false};
  return {seen_by_relay->address, true};
}

bool ServerImpl::admit(const Origin& origin) {
  const uint32_t most = nat::is_private(origin.host) ? kMaxPerPrivateHost : kMaxPerHost;
  HandshakeRate& rate = origin.vouched ? vouched_rate_ : rate_;
  return rate.take(origin.host, most, context_.now()) && make_room(origin, most);
}

/// What is over gives way, the oldest first. Then what hosts with more places than the newcomer's hold: the oldest that nobody was heard
/// on, of whoever has most; or one that is under way, of a host with an unusual number of those.
bool ServerImpl::make_room(const Origin& origin, size_t most_of_host) {
  std::unordered_map<uint32_t, size_t> under_way;  // by host
  size_t total = 0;
  size_t of_host = 0;
  for (const auto& slot : slots_) {
    if (!slot || slot->origin.vouched != origin.vouched) continue;
    total++;
    if (slot->origin.host == origin.host) of_host++;
    if (slot->phase != Slot::Phase::kOver) under_way[slot->origin.host]++;
  }
  const bool host_is_full = of_host >= most_of_host;
  if (!host_is_full && total < kMaxSlots) return true;

  const size_t newcomers = under_way[origin.host];
  const Slot* gives_way = nullptr;
  std::tuple<int, size_t, TimePoint> rank_of_it;
  for (const auto& slot : slots_) {
    if (!slot || slot->origin.vouched != origin.vouched) continue;
    if (host_is_full && slot->origin.host != origin.host) continue;
    const bool over = slot->phase == Slot::Phase::kOver;
    const size_t siblings = over ? kMaxSlots : under_way[slot->origin.host];
    if (!over && (siblings <= newcomers || (!slot->silent() && siblings <= kMaxHeardPerHost))) continue;
    const std::tuple rank{over ? 0 : slot->silent() ? 1 : 2, kMaxSlots - siblings, slot->since};
    if (gives_way != nullptr && rank >= rank_of_it) continue;
    gives_way = slot.get();
    rank_of_it = rank;
  }
  if (gives_way == nullptr) return false;
  const Hash32 key = gives_way->key;
  clear_slot(gives_way->id);
  remember(key);  // late copies of its handshake are no new ones
  return true;
}

void ServerImpl::remember(const Hash32& key) {
  seen_[key] = kRefused;
  seen_order_.push_back(key);
  if (seen_order_.size() <= kMaxSeen) return;
  const auto oldest = seen_.find(seen_order_.front());
  if (oldest != seen_.end() && oldest->second == kRefused) seen_.erase(oldest);
  seen_order_.pop_front();
}

ServerImpl::Slot* ServerImpl::add_slot(const Hash32& key, const Endpoint& client, const Origin& origin) {
  size_t id = 0;
  while (id < slots_.size() && slots_[id]) ++id;
  if (id == slots_.size()) slots_.emplace_back();
  slots_[id] = std::make_unique<Slot>(
      context_.runtime, id, key, client, origin, [this](Slot& slot) { on_slot_timer(slot); }, [this](Slot& slot) { start_relay(slot); });
  seen_[key] = id;
  return slots_[id].get();
}

void ServerImpl::clear_slot(size_t id) {
  seen_.erase(slots_[id]->key);
  slots_[id].reset();
  while (!slots_.empty() && !slots_.back()) slots_.pop_back();
}

void ServerImpl::on_slot_timer(Slot& slot) {
  if (slot.phase == Slot::Phase::kOver) return clear_slot(slot.id);
  give_up(slot);
}

void ServerImpl::give_up(Slot& slot) {
  if (slot.phase == Slot::Phase::kOver) return;
  slot.finish();
  slot.timer.arm(context_.now() + kClearAfter);
}

// --- handshakes -------------------------------------------------------------------------------------

std::optional<RoutedReply> ServerImpl::on_handshake(const wire::Handshake& message, const dht::IncomingRequest& request) {
  context_.counters.handshakes_received++;
  const Hash32 key = crypto::blake2b_256({message.noise});
  if (const auto known = seen_.find(key); known != seen_.end()) {
    if (known->second == kRefused) return std::nullopt;
    Slot& slot = *slots_[known->second];
    if (slot.reply && slot.reply->from && slot.puncher) slot.reply->from = slot.puncher->socket();
    return slot.reply;
  }
  auto reply = open_slot(key, message, request);
  if (!reply) context_.counters.handshakes_refused++;
  return reply;
}

std::optional<RoutedReply> ServerImpl::open_slot(const Hash32& key, const wire::Handshake& message, const dht::IncomingRequest& request) {
  const Endpoint client = message.peer_address.value_or(request.from);
  const Origin origin = origin_of(message, request);
  if (client.port == 0 || !admit(origin)) return std::nullopt;
  remember(key);
  auto handshake = noise::IkHandshake::responder(key_pair_, noise::dht_namespace(wire::kPeerHandshake), context_.runtime.rng());
  const auto plain = handshake.read_message(message.noise);
  if (!plain) return std::nullopt;
  const auto theirs = wire::decode_noise_payload(*plain);
  if (!theirs) return std::nullopt;
  if (options_.firewall && options_.firewall(handshake.remote_key(), *theirs, client)) return std::nullopt;

  uint64_t error = wire::kErrorNone;
  if (theirs->version != 1) {
    error = wire::kErrorVersionMismatch;
  } else if (!theirs->udx) {
    error = wire::kErrorAborted;
  }
  Slot& slot = *add_slot(key, client, origin);
  slot.timer.arm(context_.now() + kClearAfter);
  // Who brings a path for an older connection says itself whether that may be a relay's.
  if (error == wire::kErrorNone && (!theirs->move || theirs->relay_through))
    offer_relay(slot, handshake.remote_key(), theirs->relay_through);
  return slot.reply = answer(slot, handshake, *theirs, error, request, !message.peer_address);
}

wire::NoisePayload ServerImpl::our_payload(const Slot& slot, uint64_t error) const {
  const auto own = context_.node.remote_address();
  wire::NoisePayload payload;
  payload.error = error;
  payload.firewall = own ? wire::kFirewallOpen : wire::kFirewallUnknown;
  if (!own) payload.holepunch = wire::HolepunchInfo{slot.id, announcer_.relays()};
  if (own) payload.addresses4.push_back(*own);
  if (options_.share_local_addresses)
    for (const Endpoint& local : context_.local_addresses()) payload.addresses4.push_back(local);
  payload.udx = wire::UdxInfo{.id = slot.raw ? slot.raw->id() : 0};
  payload.secret_stream = wire::SecretStreamInfo{};
  if (slot.relay_setup && slot.relay_setup->is_initiator)
    payload.relay_through = wire::RelayThrough{1, slot.relay_setup->relay, slot.relay_setup->token};
  payload.move = slot.move;
  if (const auto relays = announcer_.relay_addresses(); !relays.empty()) payload.relay_addresses = relays;
  return payload;
}

std::optional<RoutedReply> ServerImpl::answer(Slot& slot, noise::IkHandshake& handshake, const wire::NoisePayload& theirs, uint64_t error,
                                              const dht::IncomingRequest& request, bool direct) {
  if (error == wire::kErrorNone) {
    slot.raw = context_.mux.create_stream({.receive_window = noise::SecureConnection::kUnprovenWindow});
    slot.gate = StreamGate::guard(*slot.raw);
    slot.gate->on_packet = [this, &slot](UdpSocket& socket, const Endpoint& from) {
      slot.heard = true;
      on_path(slot, socket, from);
    };
    if (theirs.move && options_.find_session) {
      if (const auto stream = options_.find_session(handshake.remote_key(), theirs.move->session)) {
        slot.move = wire::MoveInfo{theirs.move->session, *stream, theirs.move->pair_token};
        slot.move_remote_id = static_cast<uint32_t>(theirs.move->udx_id);
      }
    }
  }
  auto message2 = handshake.write_message(wire::encode(our_payload(slot, error)));
  auto session = message2 ? handshake.session() : Expected<noise::SessionKeys>(message2.error());
  if (!session) {
    slot.finish();
    return std::nullopt;
  }
  RoutedReply reply{std::move(*message2), nullptr, false};
  if (error != wire::kErrorNone) {
    slot.phase = Slot::Phase::kOver;
    return reply;
  }
  slot.keys = *session;
  slot.remote_udx_id = static_cast<uint32_t>(theirs.udx->id);
  slot.timer.arm(context_.now() + kWait);

  if (direct || theirs.firewall == wire::kFirewallOpen) {
    on_path(slot, direct ? *request.socket : context_.node.socket(), slot.client);
    return reply;
  }
  plan_relay(slot, theirs.addresses4.empty());
  const bool lan = same_network(theirs, slot.client, request.to);
  if (!lan && context_.node.remote_address()) return reply;
  slot.secure.emplace(noise::holepunch_secret(slot.keys.handshake_hash), context_.runtime.rng());
  const bool can_punch = start_puncher(slot, theirs.firewall);
  if (lan) return reply;
  if (!can_punch) {
    slot.finish();
    return std::nullopt;
  }
  reply.from = slot.puncher->socket();
  return reply;
}

bool ServerImpl::same_network(const wire::NoisePayload& theirs, const Endpoint& client, const Endpoint& seen_as) const {
  if (client.address != seen_as.address || !options_.share_local_addresses) return false;
  const auto own = context_.local_addresses();
  return nat::match_address(own, private_only(theirs.addresses4)).has_value();
}

// --- from a path to a connection --------------------------------------------------------------------

void ServerImpl::on_path(Slot& slot, UdpSocket& socket, const Endpoint& from) {
  if (slot.phase != Slot::Phase::kWaiting) return;
  if (slot.relay && slot.relay->is_relay(socket, from)) return;  // the client was told of the pair first
  HG_LOG(kDebug, "peer", "client {} comes", from.to_string());
  auto owner = context_.punch_sockets.owner_of(socket);  // before the puncher lets go of it
  slot.relay.reset();
  run_on(slot, socket, from, slot.remote_udx_id, std::move(owner));
}

void ServerImpl::run_on(Slot& slot, UdpSocket& socket, const Endpoint& to, uint32_t id, std::shared_ptr<void> attachment) {
  slot.phase = Slot::Phase::kProving;
  slot.gate->on_packet = nullptr;
  slot.relay_timer.disarm();
  if (slot.puncher) slot.puncher->stop(!slot.relay);
  slot.raw->connect(socket, to, id);
  auto connection = std::make_unique<noise::SecureConnection>(context_.runtime, std::move(slot.raw), slot.keys, std::move(attachment));
  if (slot.relay) BlindRelayClient::attach(slot.relay, *connection);
  if (slot.move) connection->set_continuation(noise::Continuation{slot.move->session, slot.move_remote_id, slot.move->pair_token});
  slot.timer.arm(context_.now() + Proof::kTimeout + 1s);
  slot.proof =
      std::make_unique<Proof>(context_.runtime, std::move(connection), [this, &slot](auto proven) { on_proven(slot, std::move(proven)); });
}

void ServerImpl::on_proven(Slot& slot, Expected<std::unique_ptr<noise::SecureConnection>> connection) {
  give_up(slot);
  if (connection && options_.on_connection) options_.on_connection(std::move(*connection));
}

}  // namespace hg::peer
