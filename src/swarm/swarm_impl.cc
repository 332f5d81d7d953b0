#include "swarm/swarm_impl.h"

#include <algorithm>

#include "base/log.h"
#include "crypto/crypto.h"

namespace hg::swarm {
namespace {

Error duplicate() { return {"DUPLICATE_CONNECTION", "another connection to the same peer is kept"}; }

}  // namespace

Swarm::Impl::Impl(Runtime& runtime, peer::Host& host, SwarmOptions options)
    : runtime_(runtime),
      host_(host),
      options_(std::move(options)),
      relays_(runtime.network()),
      retry_(runtime.timers(), [this] { on_retry(); }),
      slow_timer_(runtime.timers(), [this] { connect_some(); }),
      heirs_timer_(runtime.timers(),
                   [this] {
                     for (auto& heir : std::exchange(heirs_, {})) on_incoming(std::move(heir));
                   }),
      relay_timer_(runtime.timers(), [this] { restart_without_relay(); }),
      escorts_timer_(runtime.timers(), [this] { on_escorts_due(); }),
      close_timer_(runtime.timers(), [this] {
        if (const auto done = std::exchange(closed_done_, {})) done();
      }) {
  hub_ = std::make_shared<DiscoveryHub>(
      TopicSearch::Setup{runtime_, host_.node(), options_.key_pair,
                         [this](const Topic& topic, const wire::Peer& peer, uint32_t by) { on_peer(topic, peer, by); },
                         [this] { return listening_ ? server_.get() : nullptr; }});
  host_.node().add_listener(this);
  host_.set_relays(this);
}

Swarm::Impl::~Impl() {
  host_.set_relays(nullptr);
  host_.node().remove_listener(this);
  for (auto& [key, link] : links_)
    if (link.connection != nullptr) {
      link.connection->set_close_observer({});
      link.connection->set_path_observer({});
    }
  crypto::wipe(options_.key_pair.secret_key);
}

std::unique_ptr<Discovery> Swarm::Impl::join(const Topic& topic, JoinOptions options) {
  if (options.server) start_listening();
  return hub_->join(topic, options);
}

void Swarm::Impl::start_listening() {
  if (server_ || closed_) return;
  peer::ListenOptions listen;
  listen.firewall = [this](const PublicKey& key, const wire::NoisePayload&, const Endpoint&) {
    return refused(key) || (!room_for_server() && !links_.contains(key));
  };
  listen.relay_through = [this](const PublicKey& client) { return relay_for_client(client); };
  listen.find_session = [this](const PublicKey& key, const Hash32& session) { return find_session(key, session); };
  listen.on_connection = [this](std::unique_ptr<noise::SecureConnection> connection) { on_incoming(std::move(connection)); };
  listen.on_forgotten = [this] { hub_->on_loss({}); };
  auto server = host_.listen(options_.key_pair, std::move(listen));
  if (!server) {
    HG_LOG(kError, "swarm", "cannot listen: {}", server.error().message);
    return;
  }
  server_ = std::move(*server);
  server_->on_listening([this] {
    listening_ = true;
    hub_->on_listening();
  });
}

// --- peers found --------------------------------------------------------------------------------------

bool Swarm::Impl::refused(const PublicKey& key) const {
  if (closed_ || key == public_key() || bans_.contains(key)) return true;
  return options_.firewall && options_.firewall(key);
}

void Swarm::Impl::on_peer(const Topic& topic, const wire::Peer& peer, uint32_t host) {
  if (closed_ || peer.public_key == public_key() || bans_.contains(peer.public_key)) return;
  auto found = records_.find(peer.public_key);
  if (found == records_.end()) {
    if (!room_for_record(host)) return;
    found = records_.emplace(peer.public_key, PeerRecord{}).first;
    found->second.key = peer.public_key;
  }
  PeerRecord& record = found->second;
  voices_.add(record, host);
  const TimePoint now = runtime_.now();
  const bool moved = !peer.relay_addresses.empty() && record.relay_addresses != peer.relay_addresses;
  const bool was_long_unseen = record.seen_at != TimePoint{} && now - record.seen_at > std::chrono::minutes(2);
  record.seen_at = now;
  if (moved) record.relay_addresses = peer.relay_addresses;
  record.add_topic(topic);
  if (links_.contains(record.key) || record.queued) return;
  if (was_long_unseen) {
    record.attempts = record.proven ? 0 : std::min(record.attempts, 1);
    record.retry_at = now;
  }
  if (record.retry_at > now) return arm_retry();
  enqueue(record);
}

/// Makes room, if need be, at the cost of a host that names far more than this one, or of the key that was tried in vain most often.
bool Swarm::Impl::room_for_record(uint32_t host) {
  const size_t named = voices_.named_by(host);
  if (named >= kMaxRecordsOfHost && voices_.hosts() > 1) return false;
  if (records_.size() < kMaxRecords) return true;
  auto worst = records_.end();
  std::pair<size_t, int> badness_of_it;
  for (auto at = records_.begin(); at != records_.end(); ++at) {
    const PeerRecord& record = at->second;
    if (record.proven || links_.contains(at->first)) continue;
    const size_t burden = voices_.burden(record);
    const std::pair badness{burden > 2 * named + kFewRecords ? burden : 0, record.attempts};
    if (badness <= badness_of_it) continue;
    worst = at;
    badness_of_it = badness;
  }
  if (worst == records_.end()) return false;
  voices_.forget(worst->second);
  records_.erase(worst);
  return true;
}

void Swarm::Impl::enqueue(PeerRecord& record) {
  if (record.queued || links_.contains(record.key) || bans_.contains(record.key)) return;
  record.queued = true;
  connect_some();
}

/// Lost connections first; then the hosts that name what is queued take turns (voices.h).
PeerRecord* Swarm::Impl::next_in_queue() {
  Voice* const voice = next_voice();
  PeerRecord* best = nullptr;
  std::pair<int, bool> rank_of_it;
  uint32_t ties = 0;
  for (auto& [key, record] : records_) {
    if (!record.queued || (voice != nullptr && !record.was_named_by(voice))) continue;
    const std::pair rank{record.priority(), record.named_by.size() > 1};
    if (best == nullptr || rank > rank_of_it) {
      best = &record;
      rank_of_it = rank;
      ties = 1;
    } else if (rank == rank_of_it && runtime_.rng().below(++ties) == 0) {
      best = &record;
    }
  }
  if (best != nullptr && voice != nullptr) voices_.had_turn(*voice);
  return best;
}

/// Null: nobody's turn, since nothing is queued or a lost connection comes first.
Voice* Swarm::Impl::next_voice() {
  Voice* next = nullptr;
  for (const auto& [key, record] : records_) {
    if (!record.queued) continue;
    if (record.priority() >= PeerRecord::kReconnect) return nullptr;
    for (Voice* voice : record.named_by)
      if (next == nullptr || voice->turn < next->turn) next = voice;
  }
  return next;
}

void Swarm::Impl::connect_some() {
  while (!closed_ && room_for_client()) {
    PeerRecord* record = next_in_queue();
    if (record == nullptr) break;
    record->queued = false;
    if (links_.contains(record->key)) continue;
    if (refused(record->key)) {
      record->retry_at = runtime_.now() + PeerRecord::kForgetAfter;
    } else {
      connect(*record);
    }
  }
  arm_slow_timer();
}

void Swarm::Impl::connect(PeerRecord& record) {
  stats_.attempts++;
  connecting_++;
  Link& link = links_[record.key];
  link.client = true;
  link.since = runtime_.now();
  peer::ConnectOptions connect;
  connect.key_pair = options_.key_pair;
  connect.relay_addresses = record.relay_addresses;
  plan_relay(record, link, connect);
  link.attempt =
      host_.connect(record.key, std::move(connect), [this, key = record.key](auto result) { on_attempt_over(key, std::move(result)); });
}

void Swarm::Impl::on_attempt_over(const PublicKey& key, Expected<std::unique_ptr<noise::SecureConnection>> result) {
  const auto found = links_.find(key);
  if (found == links_.end() || !found->second.attempt) return;
  connecting_--;
  const PublicKey peer = key;  // `key` lives in the callback that the attempt owns
  if (result) {
    const auto attempt = std::move(found->second.attempt);
    found->second.spare_timer.reset();
    const auto spare = std::move(found->second.spare);
    if (spare) spare->destroy(duplicate());
    hand_out(std::move(*result), true);
  } else {
    HG_LOG(kDebug, "swarm", "connect failed: {} ({})", result.error().code, result.error().message);
    stats_.failures++;
    const auto attempt = std::move(found->second.attempt);
    const bool relay_offered = found->second.relay_offered;
    auto spare = std::move(found->second.spare);
    links_.erase(found);
    if (spare && !spare->closed()) {
      hand_out(std::move(spare), false);
    } else {
      after_disconnect(peer, true, false);
      after_failure(peer, result.error(), relay_offered);
    }
  }
  connect_some();
}

void Swarm::Impl::after_disconnect(const PublicKey& key, bool client, bool confirmed) {
  const auto found = records_.find(key);
  if (found == records_.end()) return;
  PeerRecord& record = found->second;
  const TimePoint now = runtime_.now();
  if (record.connected_at != TimePoint{}) {
    if (confirmed && now - record.connected_at >= PeerRecord::kProvenAfter) record.attempts = 0;
    record.connected_at = {};
  }
  if (client) record.attempts++;
  record.retry_at = now + record.retry_delay(runtime_.rng());
  arm_retry();
}

void Swarm::Impl::arm_retry() {
  std::optional<TimePoint> next;
  for (const auto& [key, record] : records_)
    if (!record.queued && !links_.contains(key) && !bans_.contains(key) && (!next || record.retry_at < *next)) next = record.retry_at;
  if (next) retry_.arm(std::max(*next, runtime_.now() + kRetryGrain));
}

void Swarm::Impl::on_retry() {
  forget_old();
  const TimePoint now = runtime_.now();
  for (auto& [key, record] : records_)
    if (record.retry_at <= now && !links_.contains(key) && !bans_.contains(key) && hub_->wants_clients(record.topics)) record.queued = true;
  connect_some();
  arm_retry();
}

void Swarm::Impl::forget_old() {
  const TimePoint now = runtime_.now();
  std::erase_if(records_, [&](const auto& entry) {
    const auto& [key, record] = entry;
    if (links_.contains(key) || (now - record.seen_at <= PeerRecord::kForgetAfter && hub_->wants_clients(record.topics))) return false;
    voices_.forget(record);
    return true;
  });
}

// --- connections --------------------------------------------------------------------------------------

void Swarm::Impl::on_incoming(std::unique_ptr<noise::SecureConnection> connection) {
  const PublicKey key = connection->remote_key();
  if (refused(key) || connection->closed()) return;
  if (take_path(connection)) return;
  const auto existing = links_.find(key);
  if (existing == links_.end()) return hand_out(std::move(connection), false);

  Link& link = existing->second;
  const noise::SecureConnection* old = link.connection;
  const bool outdated = old != nullptr && old->messages_received() > 0 && old->messages_sent() > 0;
  const bool we_should_initiate = public_key() > key;
  const bool keep_new = outdated || we_should_initiate == connection->is_initiator();
  stats_.duplicates++;
  if (keep_new) return replace(link, std::move(connection));
  if (link.attempt) return keep_spare(link, std::move(connection));
  link.connection->send_keepalive();
  connection->destroy(duplicate());
}

void Swarm::Impl::keep_spare(Link& link, std::unique_ptr<noise::SecureConnection> connection) {
  const PublicKey key = connection->remote_key();
  link.spare = std::move(connection);
  link.spare_timer = std::make_unique<Timer>(runtime_.timers(), [this, key] { on_spare_due(key); });
  link.spare_timer->arm(runtime_.now());
}

void Swarm::Impl::on_spare_due(const PublicKey& key) {
  const PublicKey peer = key;  // `key` lives in the timer
  const auto found = links_.find(peer);
  if (found == links_.end() || !found->second.attempt || !found->second.spare) return;
  if (found->second.spare->closed()) return;
  if (found->second.attempt->stage() == peer::Attempt::Stage::kProving)
    return found->second.spare_timer->arm(runtime_.now() + kSparePatience);
  auto link = links_.extract(found);
  connecting_--;
  hand_out(std::move(link.mapped().spare), false);
  connect_some();
}

void Swarm::Impl::replace(Link& link, std::unique_ptr<noise::SecureConnection> connection) {
  if (link.attempt) {
    const auto attempt = std::move(link.attempt);
    connecting_--;
    links_.erase(connection->remote_key());
    return hand_out(std::move(connection), false);
  }
  link.heir = std::move(connection);
  link.connection->destroy(duplicate());
}

void Swarm::Impl::hand_out(std::unique_ptr<noise::SecureConnection> connection, bool client) {
  const PublicKey key = connection->remote_key();
  make_room(*connection, client);
  Link& link = links_[key];
  link.client = client;
  link.since = runtime_.now();
  link.connection = connection.get();
  connection->set_path_observer([this, key, which = connection.get()](noise::PathEvent event) { on_path_event(key, which, event); });
  connection->set_close_observer([this, key, which = connection.get()](const std::optional<Error>&) { on_closed(key, which); });
  if (link.connection->relayed()) stats_.relayed++;
  PeerInfo info;
  info.key = key;
  info.client = client;
  if (const auto record = records_.find(key); record != records_.end()) {
    record->second.queued = false;
    record->second.connected_at = runtime_.now();
    record->second.relay_first = link.connection->relayed();
    record->second.relay_tries = 0;
    info.topics = record->second.topics;
  }
  if (on_connection) on_connection(std::move(connection), info);
}

void Swarm::Impl::on_closed(const PublicKey& key, const noise::SecureConnection* connection) {
  const auto found = links_.find(key);
  if (found == links_.end() || found->second.connection != connection) return;
  const PublicKey peer = key;
  const bool client = found->second.client;
  const bool confirmed = found->second.confirmed;
  auto heir = std::move(found->second.heir);
  links_.erase(found);
  relays_.forget(peer);
  after_disconnect(peer, client, confirmed);
  if (closed_) return;
  if (heir) {  // deferred: the receiver of the old connection must hear of its end before it gets the new one
    heirs_.push_back(std::move(heir));
    heirs_timer_.arm(runtime_.now());
  }
  if (confirmed) {
    const auto record = records_.find(peer);
    hub_->on_loss(record != records_.end() ? record->second.topics : std::vector<Topic>{});
  }
  connect_some();
}

// --- bans, network, end -------------------------------------------------------------------------------

void Swarm::Impl::ban(const PublicKey& key) {
  if (!bans_.insert(key).second) return;
  stats_.banned++;
  ban_order_.push_back(key);
  if (ban_order_.size() > kMaxBans) {
    bans_.erase(ban_order_.front());
    ban_order_.pop_front();
  }
  if (const auto record = records_.find(key); record != records_.end()) record->second.queued = false;
  const auto found = links_.find(key);
  if (found == links_.end()) return;
  Link& link = found->second;
  link.heir.reset();
  if (link.connection != nullptr) {
    link.connection->destroy(Error{"BANNED", "the peer is banned"});
  } else {
    const auto attempt = std::move(link.attempt);
    connecting_--;
    links_.erase(found);
  }
}

SwarmStats Swarm::Impl::stats() const {
  SwarmStats out = stats_;
  out.connecting = connecting_;
  out.connections = links_.size() - connecting_;
  out.known_peers = records_.size();
  return out;
}

void Swarm::Impl::on_health(dht::Health health) {
  const bool came_online = health != dht::Health::kOffline && health_ == dht::Health::kOffline;
  health_ = health;
  if (came_online) network_changed();
}

void Swarm::Impl::network_changed() {
  if (closed_) return;
  for (auto& [key, link] : links_)
    if (link.connection != nullptr) {
      link.connection->test_path();
      if (link.mover) link.mover->network_changed();
    }
  hub_->refresh_all();
}

void Swarm::Impl::close(std::function<void()> done) {
  if (closed_) return;
  closed_ = true;
  retry_.disarm();
  slow_timer_.disarm();
  relay_timer_.disarm();
  closed_done_ = std::move(done);
  close_timer_.arm(runtime_.now() + kCloseTimeout);
  for (auto& [key, record] : records_) record.queued = false;
  const auto links = std::exchange(links_, {});
  relays_.clear();
  connecting_ = 0;
  for (const auto& [key, link] : links)
    if (link.connection != nullptr) {
      link.connection->set_close_observer({});
      link.connection->set_path_observer({});
      link.connection->destroy();
    }
  escorts_.clear();
  closing_ = server_ ? 2 : 1;
  const auto one_done = [this] {
    if (--closing_ == 0) close_timer_.arm(runtime_.now());
  };
  hub_->close(one_done);
  if (server_) server_->close(one_done);
}

}  // namespace hg::swarm
