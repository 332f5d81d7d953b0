#include "tunnel/node.h"

#include <algorithm>

#include "base/log.h"

namespace hg::tunnel {

namespace {
constexpr std::string_view kLog = "node";
constexpr size_t kMaxNotice = 4096;        // bytes of an advertisement that a mere provider reads, for features and relay key
constexpr size_t kMaxGreetings = 32;       // sessions without a hello yet; an honest one takes a round trip
constexpr Duration kEndPatience = 2s;      // for the streams' orderly end
constexpr Duration kDestroyPatience = 1s;  // for the close that follows a destroy
constexpr Duration kStatusInterval = 1s;   // a peer that asks more often is not answered
}  // namespace

Node::Node(Runtime& runtime, const RouterKeys& router, NodeOptions options, NodeCallbacks callbacks)
    : limits_(options.limits),
      router_(router),
      context_{runtime, limits_, router_, counters_, last_channel_id_, notices_},
      verifier_(router_, limits_.peer_stale),
      callbacks_(std::move(callbacks)),
      tick_timer_(runtime.timers(), [this] { tick(); }),
      shutdown_timer_(runtime.timers(), [this] { advance_shutdown(); }) {
  if (options.gateway) {
    gateway_ = std::make_unique<Gateway>(context_);
    gateway_->set_filter(std::move(options.filter));
    gateway_->set_leads_back(std::move(options.leads_back));
  }
  if (options.connector != nullptr) provider_ = std::make_unique<Provider>(context_, *options.connector);
  tick_timer_.arm(runtime.now() + limits_.peer_refresh);
}

Node::~Node() {
  *alive_ = false;
  callbacks_ = {};
  phase_ = Phase::kDone;
  if (gateway_ != nullptr) gateway_->stop();  // or a lost channel would be opened again on the next session to go
  sessions_.clear();
}

void Node::add_connection(std::unique_ptr<noise::Connection> connection) {
  if (phase_ != Phase::kRunning || sessions_.size() >= limits_.max_sessions) {
    HG_LOG(kDebug, kLog, "connection not taken: {}", phase_ != Phase::kRunning ? "stopping" : "too many peers");
    return;
  }
  last_hello_ms_ = std::max(last_hello_ms_ + 1, context_.runtime.wall_ms());
  const bool says_gateway = gateway_ != nullptr || provider_ == nullptr;
  auto session = std::make_unique<Session>(context_, std::move(connection), verifier_, says_gateway, last_hello_ms_,
                                           static_cast<SessionEvents&>(*this));
  Session* key = session.get();
  sessions_.emplace(key, std::move(session));
  bound_greetings(*key);
}

/// Who says nothing makes room: a swarm has so many links, and strangers are not to hold them.
void Node::bound_greetings(const Session& newest) {
  Session* oldest = nullptr;
  size_t greetings = 1;
  for (const auto& [key, session] : sessions_) {
    if (key == &newest || !session->greeting()) continue;
    ++greetings;
    if (oldest == nullptr || session->since() < oldest->since()) oldest = key;
  }
  if (greetings > kMaxGreetings) oldest->make_room();
}

std::vector<PeerInfo> Node::peers() const {
  std::vector<PeerInfo> peers = peer_figures();
  for (PeerInfo& peer : peers) {
    if (gateway_ != nullptr) peer.offers = gateway_->routes().offers_of(peer.key);
    if (const auto told = statuses_.find(peer.key); told != statuses_.end()) peer.status = told->second;
  }
  return peers;
}

std::vector<PeerInfo> Node::peer_figures() const {
  std::vector<PeerInfo> peers;
  peers.reserve(sessions_.size());
  for (const auto& [key, session] : sessions_) {
    peers.push_back({session->remote_key(),
                     session->remote_is_gateway(),
                     session->ready(),
                     session->answering(),
                     session->since(),
                     session->clock_skew_ms(),
                     session->stats(),
                     session->channel_count(),
                     {},
                     {}});
  }
  return peers;
}

bool Node::is_member(const PublicKey& peer) const {
  return std::any_of(sessions_.begin(), sessions_.end(),
                     [&](const auto& entry) { return entry.second->ready() && entry.second->remote_key() == peer; });
}

size_t Node::member_count() const {
  return static_cast<size_t>(std::count_if(sessions_.begin(), sessions_.end(), [](const auto& entry) { return entry.second->ready(); }));
}

void Node::set_relay(const std::optional<PublicKey>& relay) {
  if (phase_ != Phase::kRunning || relay == relay_) return;
  relay_ = relay;
  if (provider_ != nullptr) return provider_->set_relay(relay);
  for (const auto& [key, session] : sessions_) send_notice(*session);
}

/// What a member without services has to advertise.
void Node::send_notice(Session& session) {
  if (session.ready()) session.send_routes(encode_advertisement({}, {.move = session.remote_features().move}, relay_));
}

bool Node::probe(const PublicKey& peer, uint32_t bytes, PathProbe::Done done) {
  for (const auto& [key, session] : sessions_)
    if (session->remote_key() == peer) return session->probe(bytes, std::move(done));
  return false;
}

size_t Node::channel_count() const {
  size_t count = 0;
  for (const auto& [key, session] : sessions_) count += session->channel_count();
  return count;
}

void Node::tick() {
  if (provider_ != nullptr) provider_->tick();
  if (gateway_ != nullptr) gateway_->tick();
  tick_timer_.arm(context_.runtime.now() + limits_.peer_refresh);
}

void Node::on_session_ready(Session& session) {
  HG_LOG(kDebug, kLog, "peer {} is a {}", to_hex(ByteView(session.remote_key()).first(4)),
         session.remote_is_gateway() ? "gateway" : "provider");
  if (gateway_ != nullptr) gateway_->add_session(session);
  if (provider_ != nullptr) provider_->add_session(session);
  if (provider_ == nullptr && relay_) send_notice(session);
  if (callbacks_.peer_ready) callbacks_.peer_ready(session.remote_key(), session.remote_is_gateway());
}

void Node::on_session_ban(Session& session, const std::string& why) {
  HG_LOG(kDebug, kLog, "peer {} banned: {}", to_hex(ByteView(session.remote_key()).first(4)), why);
  if (callbacks_.ban) callbacks_.ban(session.remote_key(), why);
}

void Node::ask_status(const PublicKey& peer) {
  for (const auto& [key, session] : sessions_) {
    if (session->remote_key() != peer || !session->ready()) continue;
    statuses_[peer];
    session->send_routes(encode_status_question());
  }
}

void Node::handle_status(Session& session, StatusMessage status) {
  if (status.asks) {
    const TimePoint now = context_.runtime.now();
    const auto [last, first] = answered_.try_emplace(session.remote_key(), now);
    if (!first && now - last->second < kStatusInterval) return;
    last->second = now;
    return session.send_routes(encode_status(gateway_ == nullptr ? std::vector<Override>() : gateway_->admissions().overrides()));
  }
  const auto asked = statuses_.find(session.remote_key());
  if (asked == statuses_.end()) return;
  asked->second = std::move(status);
  if (callbacks_.routes_learned) callbacks_.routes_learned(session.remote_key());
}

void Node::on_session_routes(Session& session, ByteView json) {
  if (auto status = parse_status(as_text(json))) return handle_status(session, std::move(*status));
  const auto relay_before = session.remote_relay();
  const bool moved_before = session.remote_features().move;
  if (gateway_ != nullptr) {
    gateway_->handle_routes(session, json);
    if (provider_ == nullptr && !moved_before && session.remote_features().move) send_notice(session);
  } else if (json.size() <= kMaxNotice) {
    learn_features(session, json);
  }
  if (callbacks_.relay_learned && session.remote_relay() != relay_before)
    callbacks_.relay_learned(session.remote_key(), session.remote_relay());
  if (gateway_ != nullptr && callbacks_.routes_learned) callbacks_.routes_learned(session.remote_key());
}

/// A provider takes nothing else from an advertisement.
void Node::learn_features(Session& session, ByteView json) {
  const auto advertisement = decode_advertisement(as_text(json));
  if (!advertisement) return;
  session.set_remote_features(advertisement->features);
  session.set_remote_relay(advertisement->relay);
}

void Node::on_session_answering(Session& session, bool answering) {
  const std::string peer = to_hex(ByteView(session.remote_key()).first(4));
  if (answering) {
    HG_LOG(kInfo, kLog, "peer {} answers again, at {}", peer, session.stats().remote.to_string());
  } else {
    HG_LOG(kInfo, kLog, "peer {} is silent; its {} channels wait while a path to it is looked for", peer, session.channel_count());
    ++counters_.sessions_silent;
  }
  if (provider_ != nullptr && answering) provider_->add_session(session);  // which tells it our routes anew
  if (gateway_ != nullptr) gateway_->set_answering(session, answering);
}

void Node::on_session_open_request(Session& session, std::unique_ptr<Channel> channel, const OpenBody& request) {
  if (provider_ != nullptr) return provider_->handle_open(session, std::move(channel), request);
  ++counters_.refused_no_service;
  channel->refuse("Not a provider");
}

void Node::on_session_stray_error(Session& session, const std::string& text) {
  HG_LOG(kDebug, kLog, "peer {}: {}", to_hex(ByteView(session.remote_key()).first(4)), text);
  if (gateway_ != nullptr) gateway_->handle_stray_error(session, text);
}

void Node::on_session_closed(Session& session, const std::optional<Error>& error) {
  const PublicKey peer = session.remote_key();
  HG_LOG(kDebug, kLog, "peer {} gone: {}", to_hex(ByteView(peer).first(4)), error ? error->message : "closed");
  if (error && session.met()) ++counters_.sessions_lost;
  if (provider_ != nullptr) provider_->remove_session(session);
  if (gateway_ != nullptr) gateway_->remove_session(session);
  statuses_.erase(peer);
  answered_.erase(peer);
  session.drop_channels(CloseReason::kPeerLost);
  const auto found = sessions_.find(&session);
  if (found != sessions_.end()) {
    gone_.push_back(std::move(found->second));
    sessions_.erase(found);
    context_.runtime.post([this, alive = alive_] {
      if (*alive) gone_.clear();
    });
  }
  if (callbacks_.peer_lost && session.met()) callbacks_.peer_lost(peer, error);
  if (phase_ == Phase::kEnding && sessions_.empty()) shutdown_timer_.arm(context_.runtime.now());
}

void Node::on_session_room(Session& session) {
  if (gateway_ != nullptr) gateway_->go_on(session);
}

void Node::on_session_channel_released(Session&) {
  if (phase_ == Phase::kGrace)
    shutdown_timer_.arm(std::min(shutdown_timer_.deadline(), channel_count() == 0 ? context_.runtime.now() : TimePoint::max()));
}

void Node::shutdown(Duration grace, std::function<void()> done) {
  if (phase_ == Phase::kDone) return;
  shutdown_done_ = std::move(done);
  const TimePoint now = context_.runtime.now();
  if (phase_ == Phase::kRunning) {
    phase_ = Phase::kGrace;
    tick_timer_.disarm();
    if (provider_ != nullptr) provider_->stop();
    if (gateway_ != nullptr) gateway_->stop();
  }
  grace_ends_ = now + grace;
  if (phase_ == Phase::kGrace) wait_for_channels();
}

void Node::wait_for_channels() {
  TimePoint next = grace_ends_;
  for (const auto& [key, session] : sessions_) next = std::min(next, session->close_quiet_flows(limits_.quiet_flow));
  shutdown_timer_.arm(channel_count() == 0 ? context_.runtime.now() : next);
}

/// Each call is one deadline passed: a flow may be quiet, grace over, streams did not end, destroys were not answered.
void Node::advance_shutdown() {
  const TimePoint now = context_.runtime.now();
  if (phase_ == Phase::kGrace) {
    if (channel_count() > 0 && now < grace_ends_) return wait_for_channels();
    phase_ = Phase::kEnding;
    close_sessions();
    shutdown_timer_.arm(sessions_.empty() ? now : now + kEndPatience);
    return;
  }
  if (!sessions_.empty() && !destroyed_) {
    destroyed_ = true;
    for (const auto& [key, session] : sessions_) session->destroy();
    shutdown_timer_.arm(now + kDestroyPatience);
    return;
  }
  phase_ = Phase::kDone;
  if (shutdown_done_) shutdown_done_();
}

void Node::close_sessions() {
  for (const auto& [key, session] : sessions_) {
    if (session->ready()) {
      session->end();
    } else {
      session->destroy();
    }
  }
}

}  // namespace hg::tunnel
