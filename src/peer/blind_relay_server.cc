#include "peer/blind_relay_server.h"

#include <algorithm>
#include <limits>

#include "base/log.h"

namespace hg::peer {
namespace {

size_t burst_of(uint64_t rate) { return static_cast<size_t>(static_cast<double>(rate) * to_seconds(BlindRelayServerImpl::kBurst)); }

std::shared_ptr<udx::Bandwidth> bandwidth(uint64_t rate) { return std::make_shared<udx::Bandwidth>(rate, burst_of(rate)); }

}  // namespace

/// One control connection.
class BlindRelayServerImpl::Session final : private ByteStreamHandler {
 public:
  Session(BlindRelayServerImpl& relay, std::unique_ptr<noise::SecureConnection> connection, bool of_member)
      : member(of_member), since(relay.context_.now()), relay_(relay), control_(std::move(connection)), channel_(*control_, events()) {
    key = control_->remote_key();
    control_->limit_messages(BlindRelayChannel::kMaxFrame);
    control_->set_handler(this);
  }
  ~Session() override { control_->set_handler(nullptr); }

  noise::SecureConnection& control() { return *control_; }
  BlindRelayChannel& channel() { return channel_; }
  /// Says goodbye; the session goes with the connection's close, or the next sweep.
  void end() {
    channel_.close();
    control_->end();
    ended_at = relay_.context_.now();
  }

  PublicKey key{};
  bool member;
  size_t pairs = 0;
  size_t bridged = 0;  // of these
  bool closed = false;
  TimePoint since;
  std::optional<TimePoint> ended_at;

 private:
  BlindRelayChannel::Events events() {
    BlindRelayChannel::Events events;
    events.on_pair = [this](const wire::Pair& pair) {
      if (!ended_at) relay_.on_pair(*this, pair);
    };
    events.on_unpair = [this](const wire::Unpair& unpair) { relay_.on_unpair(*this, unpair); };
    events.on_close = [this] { control_->end(); };
    return events;
  }
  void on_data(ByteView frame) override {
    if (channel_.read(frame)) return;
    relay_.counters_.malformed++;
    control_->destroy();
  }
  void on_close(const std::optional<Error>&) override {
    closed = true;
    relay_.on_session_closed(*this);
  }

  BlindRelayServerImpl& relay_;
  std::unique_ptr<noise::SecureConnection> control_;
  BlindRelayChannel channel_;
};

BlindRelayServerImpl::BlindRelayServerImpl(Context& context, BlindRelayOptions options)
    : context_(context),
      options_(std::move(options)),
      total_(std::make_shared<udx::SharedBandwidth>(context.runtime, options_.total_rate, burst_of(options_.total_rate))),
      of_guests_(std::min(options_.pair_rate, options_.total_rate / kGuestShare)),
      sweep_(context.runtime.timers(), [this] { sweep(); }) {}

BlindRelayServerImpl::~BlindRelayServerImpl() {
  pairs_.clear();
  sessions_.clear();
  crypto::wipe(options_.key_pair.secret_key);
}

Expected<std::unique_ptr<BlindRelayServer>> BlindRelayServerImpl::open(Host& host, Context& context, BlindRelayOptions options) {
  auto relay = std::make_unique<BlindRelayServerImpl>(context, std::move(options));
  if (auto listening = relay->listen(host); !listening) return listening.error();
  return std::unique_ptr<BlindRelayServer>(std::move(relay));
}

Expected<void> BlindRelayServerImpl::listen(Host& host) {
  ListenOptions listen;
  listen.firewall = [this](const PublicKey& key, const wire::NoisePayload&, const Endpoint&) { return refuses(key); };
  listen.on_connection = [this](std::unique_ptr<noise::SecureConnection> connection) { accept(std::move(connection)); };
  auto server = host.listen(options_.key_pair, std::move(listen));
  if (!server) return server.error();
  server_ = std::move(*server);
  return {};
}

size_t BlindRelayServerImpl::open_pairs() const {
  return static_cast<size_t>(std::count_if(pairs_.begin(), pairs_.end(), [](const auto& entry) { return entry.second.bridge != nullptr; }));
}

size_t BlindRelayServerImpl::waiting_halves() const { return pairs_.size() - open_pairs(); }

size_t BlindRelayServerImpl::guest_pairs() const {
  return static_cast<size_t>(std::count_if(pairs_.begin(), pairs_.end(), [](const auto& entry) { return entry.second.of_guest; }));
}

// --- sessions ---------------------------------------------------------------------------------------

bool BlindRelayServerImpl::refuses(const PublicKey& key) {
  size_t of_key = 0;
  size_t guests = 0;
  for (const auto& session : sessions_) {
    if (session->key == key) of_key++;
    if (!session->member && session->bridged == 0) guests++;
  }
  bool refused = closing_ || sessions_.size() >= kMaxSessions || of_key >= kMaxPerKey;
  if (!refused && guests >= kMaxGuests) refused = !options_.admit(key);
  if (refused) counters_.refused++;
  return refused;
}

void BlindRelayServerImpl::accept(std::unique_ptr<noise::SecureConnection> connection) {
  if (connection->closed() || refuses(connection->remote_key())) return;
  counters_.sessions++;
  const bool member = options_.admit(connection->remote_key());
  sessions_.push_back(std::make_unique<Session>(*this, std::move(connection), member));
  arm_sweep();
}

void BlindRelayServerImpl::refuse(Session& session) {
  counters_.refused++;
  session.end();
}

void BlindRelayServerImpl::on_session_closed(Session& session) {
  for (auto at = pairs_.begin(); at != pairs_.end();) {
    const auto here = at++;
    Pair& pair = here->second;
    bool concerned = false;
    for (Half& half : pair.halves) {
      if (half.session != &session) continue;
      half.session = nullptr;
      concerned = true;
    }
    if (!concerned) continue;
    pair.bridge ? leave(pair) : drop(here);
  }
  sweep_.arm(context_.now());
}

// --- pairs ------------------------------------------------------------------------------------------

void BlindRelayServerImpl::on_pair(Session& session, const wire::Pair& message) {
  if (message.id > std::numeric_limits<uint32_t>::max()) return refuse(session);
  const Hash32 name = crypto::blake2b_256({message.token});
  auto found = pairs_.find(name);
  if (found == pairs_.end()) {
    if (waiting_halves() >= kMaxHalves || open_pairs() >= options_.max_pairs || session.pairs >= kMaxPerSession) return refuse(session);
    found = pairs_.emplace(name, Pair{}).first;
    found->second.token = message.token;
    found->second.since = context_.now();
  }
  Pair& pair = found->second;
  Half& half = pair.halves[message.is_initiator ? 1 : 0];
  if (half.session != nullptr || pair.bridge || session.pairs >= kMaxPerSession) return;
  half = {&session, static_cast<uint32_t>(message.id)};
  session.pairs++;
  if (pair.halves[0].session == nullptr || pair.halves[1].session == nullptr) return;
  if (bridge(pair)) return;
  for (Half& each : pair.halves) refuse(*each.session);
}

bool BlindRelayServerImpl::bridge(Pair& pair) {
  const auto members = std::count_if(pair.halves.begin(), pair.halves.end(), [](const Half& half) { return half.session->member; });
  if (members == 0 || open_pairs() >= options_.max_pairs) return false;
  const bool of_guest = members == 1;
  if (of_guest && guest_pairs() >= std::max<size_t>(1, options_.max_pairs / kGuestShare)) return false;
  udx::BridgeOptions options;
  options.remote_ids = {pair.halves[0].stream_id, pair.halves[1].stream_id};
  options.where = [this, &pair](size_t side) -> std::optional<udx::BridgePlace> {
    Session* session = pair.halves[side].session;
    if (session == nullptr || session->closed) return std::nullopt;
    const auto path = session->control().path();
    return udx::BridgePlace{path.socket, path.remote, context_.punch_sockets.owner_of(*path.socket)};
  };
  options.own = pair.own = bandwidth(of_guest ? of_guests_ : options_.pair_rate);
  options.total = total_;
  options.totals = &counters_.traffic;
  options.on_destroyed = [this, &pair] { leave(pair); };
  pair.bridge = context_.mux.create_bridge(std::move(options));
  pair.of_guest = of_guest;
  share_among_guests();
  counters_.pairs++;
  for (const bool initiator : {false, true}) {
    const size_t side = initiator ? 1 : 0;
    pair.halves[side].session->bridged++;
    pair.halves[side].session->channel().send(wire::Pair{initiator, pair.token, pair.bridge->id(side), 0});
  }
  HG_LOG(kDebug, "peer", "relaying between two peers, {} pairs", open_pairs());
  return true;
}

void BlindRelayServerImpl::on_unpair(Session& session, const wire::Unpair& message) {
  const auto found = pairs_.find(crypto::blake2b_256({message.token}));
  if (found == pairs_.end()) return;
  Pair& pair = found->second;
  if (pair.halves[0].session != &session && pair.halves[1].session != &session) return;
  pair.bridge ? leave(pair) : drop(found);
}

void BlindRelayServerImpl::leave(Pair& pair) {
  if (!pair.gone_at) pair.gone_at = context_.now() + kFarewell;
  arm_sweep();
}

void BlindRelayServerImpl::drop(Pairs::iterator at) {
  for (Half& half : at->second.halves) {
    if (half.session == nullptr) continue;
    half.session->pairs--;
    if (at->second.bridge) half.session->bridged--;
    if (at->second.bridge && half.session->pairs == 0 && !half.session->closed) half.session->end();
  }
  pairs_.erase(at);
  share_among_guests();
}

// --- time -------------------------------------------------------------------------------------------

void BlindRelayServerImpl::arm_sweep() {
  if (!sweep_.armed()) sweep_.arm(context_.now() + kSweep);
}

/// Who came as a guest and has a session with us by now is a member like any other.
void BlindRelayServerImpl::review_guests() {
  for (const auto& session : sessions_) session->member = session->member || options_.admit(session->key);
  for (auto& [name, pair] : pairs_) {
    const auto of_member = [](const Half& half) { return half.session != nullptr && half.session->member; };
    if (!pair.of_guest || !std::all_of(pair.halves.begin(), pair.halves.end(), of_member)) continue;
    pair.of_guest = false;
    pair.own->set_rate(options_.pair_rate, burst_of(options_.pair_rate), context_.now());
  }
  share_among_guests();
}

void BlindRelayServerImpl::share_among_guests() {
  const uint64_t part = of_guests_ / std::max<size_t>(1, guest_pairs());
  for (auto& [name, pair] : pairs_)
    if (pair.of_guest) pair.own->set_rate(part, burst_of(part), context_.now());
}

void BlindRelayServerImpl::sweep() {
  review_guests();
  const TimePoint now = context_.now();
  for (auto at = pairs_.begin(); at != pairs_.end();) {
    const auto here = at++;
    const Pair& pair = here->second;
    const bool over =
        pair.bridge ? (pair.gone_at && now >= *pair.gone_at) || now - pair.bridge->last_packet() > kIdle : now - pair.since > kHalfFor;
    if (over) drop(here);
  }
  for (const auto& session : sessions_) {
    if (session->closed) continue;
    const bool useless = session->member ? session->pairs == 0 : session->bridged == 0;
    const bool late = session->ended_at ? now - *session->ended_at > kFarewell : useless && now - session->since > kUselessFor;
    if (late) session->control().destroy();
  }
  std::erase_if(sessions_, [](const auto& session) { return session->closed; });
  if (!sessions_.empty() || !pairs_.empty()) arm_sweep();
}

void BlindRelayServerImpl::close(std::function<void()> done) {
  closing_ = true;
  while (!pairs_.empty()) drop(pairs_.begin());
  for (const auto& session : sessions_)
    if (!session->ended_at) session->end();
  server_->close(std::move(done));
}

}  // namespace hg::peer
