#include "tunnel/gateway.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/log.h"
#include "crypto/crypto.h"
#include "tunnel/opening.h"

namespace hg::tunnel {

namespace {

constexpr std::string_view kLog = "gateway";

/// The number at the end of "Service not found 8080", as TypeScript providers write it; 0 without one.
uint16_t trailing_port(std::string_view text) {
  size_t start = text.size();
  while (start > 0 && text[start - 1] >= '0' && text[start - 1] <= '9') --start;
  uint16_t port = 0;
  const auto [end, failure] = std::from_chars(text.data() + start, text.data() + text.size(), port);
  return failure == std::errc() ? port : uint16_t{0};
}

bool has_gate(const std::vector<Gate>& gates, GateKey key) {
  return std::any_of(gates.begin(), gates.end(), [&](const Gate& gate) { return gate.key == key; });
}

}  // namespace

Gateway::Gateway(const Context& context)
    : context_(context),
      loops_(context.runtime, [this] { judge_anew(); }),
      routes_({}, context.limits.route_expiration),
      admissions_(context.runtime, context.counters, routes_),
      linger_timer_(context.runtime.timers(), [this] { expire_lingering(); }),
      silent_timer_(context.runtime.timers(), [this] { tick(); }) {}

Gateway::~Gateway() { *alive_ = false; }

void Gateway::set_filter(GateFilter filter) {
  const bool fewer = routes_.set_filter(std::move(filter));
  for (auto& [key, member] : members_) member.last_routes = {};
  if (fewer) routes_changed();
}

std::vector<Gate> Gateway::gates() const {
  if (stopping_) return {};
  std::vector<Gate> gates = routes_.gates();
  for (const auto& [key, held] : lingering_) {
    if (has_gate(gates, key)) continue;
    Gate gate = held.first;
    gate.providers.clear();
    gates.push_back(std::move(gate));
  }
  return gates;
}

std::unique_ptr<Channel> Gateway::open(const GateRequest& request, ChannelHandler& handler) {
  auto channel = std::make_unique<Channel>(request.gate.protocol, &handler);
  channel->count_in(traffic_.of(request.gate, [this](GateKey gate) { return routes_.has(gate) || lingering_.contains(gate); }));
  auto opening = std::make_unique<Opening>(*this, request, *channel, handler);
  Opening& started = *opening;
  openings_.emplace(&started, std::move(opening));
  if (stopping_) {
    started.give_up(CloseReason::kStopping);
  } else {
    started.start();
  }
  return channel;
}

std::unique_ptr<Opening> Gateway::release(Opening& opening) {
  const auto found = openings_.find(&opening);
  std::unique_ptr<Opening> released = std::move(found->second);
  openings_.erase(found);
  return released;
}

std::vector<Opening*> Gateway::opening_list() const {
  std::vector<Opening*> list;
  list.reserve(openings_.size());
  for (const auto& [key, opening] : openings_) list.push_back(opening.get());
  return list;
}

Session* Gateway::session_of(const PublicKey& provider) const {
  const auto found = members_.find(provider);
  return found == members_.end() ? nullptr : found->second.session;
}

bool Gateway::has_room(const PublicKey& provider) const {
  const Session* session = session_of(provider);
  return session == nullptr || session->has_room();
}

bool Gateway::takes_flow(GateKey gate) const {
  const std::vector<PublicKey> providers = routes_.providers_of(gate, context_.runtime.now());
  return providers.empty() || std::any_of(providers.begin(), providers.end(), [this](const PublicKey& key) { return has_room(key); });
}

void Gateway::go_on(Session& session) {
  for (auto next = line_.begin(); next != line_.end() && session.has_room();) (*next++)->go_on();
}

void Gateway::add_session(Session& session) { members_[session.remote_key()] = {&session, {}, {}, {}, {}}; }

const Offers* Gateway::offers(const PublicKey& peer) const {
  const auto found = members_.find(peer);
  return found == members_.end() ? nullptr : &found->second.offers;
}

void Gateway::remove_session(Session& session) {
  const auto found = members_.find(session.remote_key());
  if (found == members_.end() || found->second.session != &session) return;
  const PublicKey provider = found->first;
  members_.erase(found);
  const std::vector<Gate> before = routes_.gates();
  if (!routes_.remove_provider(provider)) return;
  // The provider may be back in a moment (restart, another network): clients that come meanwhile are held instead of refused.
  const std::vector<Gate> after = routes_.gates();
  const TimePoint until = context_.runtime.now() + context_.limits.gate_linger;
  for (const Gate& gate : before) {
    if (!has_gate(after, gate.key)) lingering_.insert_or_assign(gate.key, std::pair(gate, until));
  }
  if (!lingering_.empty() && !linger_timer_.armed()) linger_timer_.arm(until);
  routes_changed();
}

void Gateway::expire_lingering() {
  const TimePoint now = context_.runtime.now();
  std::erase_if(lingering_, [&](const auto& held) { return held.second.second <= now; });
  TimePoint next = TimePoint::max();
  for (const auto& [key, held] : lingering_) next = std::min(next, held.second);
  if (!lingering_.empty()) linger_timer_.arm(next);
  routes_changed();
}

void Gateway::handle_routes(Session& session, ByteView json) {
  const auto member = members_.find(session.remote_key());
  if (stopping_ || member == members_.end() || member->second.session != &session) return;
  const TimePoint now = context_.runtime.now();
  const Hash32 hash = crypto::blake2b_256({json});
  if (hash == member->second.last_routes) return routes_.refresh(session.remote_key(), now);
  auto advertisement = decode_advertisement(as_text(json));
  if (!advertisement) {
    ++context_.counters.malformed_messages;
    HG_LOG(kWarn, kLog, "peer {}: {}", to_hex(ByteView(session.remote_key()).first(4)), advertisement.error().message);
    return;
  }
  if (advertisement->skipped > 0) {
    context_.counters.routes_skipped += advertisement->skipped;
    HG_LOG(kWarn, kLog, "peer {}: {} of {} advertised routes cannot be used: {}", to_hex(ByteView(session.remote_key()).first(4)),
           advertisement->skipped, advertisement->skipped + advertisement->routes.size(), advertisement->why_skipped);
  }
  member->second.last_routes = hash;
  const auto& routes = advertisement->routes;
  const auto filtered = std::count_if(routes.begin(), routes.end(), [this](const Service& service) { return !routes_.wants(service); });
  const Offers before =
      std::exchange(member->second.offers, {routes.size(), advertisement->skipped, static_cast<size_t>(filtered), {}, {}});
  take_loops(member->second, advertisement->routes, before.looping);
  if (!member->second.offers.unknown.empty()) member->second.untold = as_text(json);
  session.set_remote_features(advertisement->features);
  session.set_remote_relay(advertisement->relay);
  const uint64_t policies = routes_.policy_changes();
  const bool gates_may_differ = routes_.update(session.remote_key(), *advertisement, now);
  if (routes_.policy_changes() != policies) admissions_.recheck();
  if (!gates_may_differ) return;
  const std::vector<Gate> current = routes_.gates();
  std::erase_if(lingering_, [&](const auto& held) { return has_gate(current, held.first); });
  routes_changed();
}

/// One client of such a gate would fill both processes with connections to each other, and the service could not begin to listen: what is
/// not known yet opens no gate either. `told`: those that the log has named.
void Gateway::take_loops(Member& member, std::vector<Service>& routes, const std::vector<Service>& told) {
  member.names.clear();
  member.untold.clear();
  const noise::ConnectionStats path = member.session->stats();
  if (path.relayed) return;
  std::erase_if(routes, [&](const Service& service) {
    if (!routes_.wants(service)) return false;
    const LoopCheck::Judgement judged = loops_.judge(service, path.remote);
    if (judged.by_name) member.names.insert(service.service_host);
    if (judged.verdict == LoopCheck::Verdict::kElsewhere) return false;
    const bool back = judged.verdict == LoopCheck::Verdict::kBack;
    if (back && std::find(told.begin(), told.end(), service) == told.end()) tell_loop(*member.session, service);
    (back ? member.offers.looping : member.offers.unknown).push_back(service);
    return true;
  });
}

void Gateway::tell_loop(const Session& session, const Service& service) {
  const std::string line =
      fmt::format("gate {}/{} stays closed: it would be {}:{} itself, the service of provider {} on this machine; give it another gatePort",
                  service.gate_port, protocol_name(service.protocol), service.service_host, service.service_port,
                  to_hex(ByteView(session.remote_key()).first(4)));
  if (context_.notices.due(line, context_.runtime.now())) HG_LOG(kWarn, kLog, "{}", line);
}

/// What waits for a name is read at once, other advertisements when they come again.
void Gateway::judge_anew() {
  for (auto& [key, member] : members_) {
    if (member.names.empty()) continue;
    member.last_routes = {};
    const std::string json = std::exchange(member.untold, {});
    if (!json.empty() && member.session->answering()) handle_routes(*member.session, as_bytes(json));
  }
}

void Gateway::set_answering(Session& session, bool answering) {
  const auto member = members_.find(session.remote_key());
  if (member == members_.end() || member->second.session != &session) return;
  const TimePoint now = context_.runtime.now();
  if (answering) {
    routes_.set_answering(member->first, now);
    member->second.last_routes = {};  // they may have expired: the next advertisement is read anew
    return;
  }
  routes_.set_silent(member->first, now + context_.limits.silent_routes);
  silent_timer_.arm(now + context_.limits.silent_routes);
}

void Gateway::handle_stray_error(Session& session, const std::string& text) {
  const uint16_t port = trailing_port(text);
  if (port == 0) return;
  for (Opening* opening : opening_list()) {
    if (openings_.contains(opening)) opening->stray_error(session, port);
  }
}

void Gateway::tick() {
  for (const auto& [key, member] : members_)
    for (const std::string& host : member.names) loops_.keep(host);
  if (!routes_.expire(context_.runtime.now())) return;
  // A provider that comes back with the same list must be read again.
  for (auto& [key, member] : members_) member.last_routes = {};
  routes_changed();
}

void Gateway::routes_changed() {
  if (notice_posted_) return;
  notice_posted_ = true;
  context_.runtime.post([this, alive = alive_] {
    if (!*alive) return;
    notice_posted_ = false;
    for (Opening* opening : opening_list()) {
      if (openings_.contains(opening)) opening->routes_changed();
    }
    if (gates_changed_) gates_changed_();
  });
}

void Gateway::stop() {
  if (stopping_) return;
  stopping_ = true;
  lingering_.clear();
  for (Opening* opening : opening_list()) {
    if (openings_.contains(opening)) opening->give_up(CloseReason::kStopping);
  }
  routes_changed();
}

}  // namespace hg::tunnel
