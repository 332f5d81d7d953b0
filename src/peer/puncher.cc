#include "peer/puncher.h"

#include <algorithm>

#include "base/log.h"
#include "nat/address.h"

namespace hg::peer {
namespace {

constexpr size_t kSkipRecent = 5;  // the most recent nodes are likely the ones busy with this very connection
constexpr size_t kSkipWhenKnown = 8;
constexpr size_t kCandidates = 32;
constexpr size_t kMaxRemoteAddresses = 32;

wire::Firewall coerce(uint64_t firewall) {
  switch (firewall) {
    case wire::kFirewallUnknown:
      return wire::kFirewallUnknown;
    case wire::kFirewallOpen:
      return wire::kFirewallOpen;
    case wire::kFirewallConsistent:
      return wire::kFirewallConsistent;
    default:
      return wire::kFirewallRandom;
  }
}

}  // namespace

Puncher::Puncher(Context& context, bool initiator, wire::Firewall remote_firewall, Events events)
    : context_(context),
      initiator_(initiator),
      events_(std::move(events)),
      remote_firewall_(remote_firewall),
      plan_timer_(context.runtime.timers(), [this] { on_plan_timer(); }),
      settle_timer_(context.runtime.timers(), [this] { run_waiters(); }) {
  auto socket = context_.punch_sockets.open();
  if (!socket) return;
  add_socket(std::move(socket));
  start_sampling();
}

Puncher::~Puncher() { stop(); }

void Puncher::stop(bool path_found) {
  if (std::exchange(stopped_, true)) return;
  plan_timer_.disarm();
  settle_timer_.disarm();
  pings_.clear();
  waiters_.clear();
  for (const auto& socket : sockets_) socket->set_on_probe(nullptr);
  sockets_.resize(std::min<size_t>(sockets_.size(), 1));
  if (std::exchange(counted_random_, false)) context_.random_punches.end(context_.now(), path_found);
}

void Puncher::release() {
  stop();
  sockets_.clear();
}

void Puncher::abort() {
  if (stopped_) return;
  stop();
  if (const auto callback = events_.on_abort) callback();
}

// --- analysis of our own NAT ------------------------------------------------------------------------

void Puncher::start_sampling() {
  sampler_ = std::make_unique<nat::Sampler>(context_.node.firewalled());
  analysis_over_ = false;
  asked_.clear();
  pings_.clear();
  sample(true);
}

void Puncher::sample(bool retry) {
  const auto nodes = context_.node.recent_nodes(kCandidates);
  size_t skip = context_.node.table_size() >= kSkipWhenKnown ? kSkipRecent : 0;
  pings_out_ = 1;
  for (const Endpoint& node : nodes) {
    if (sampler_->samples() + pings_out_ - 1 >= nat::Sampler::kEnough) break;
    if (skip > 0) {
      skip--;
      continue;
    }
    if (!asked_.insert(node).second) continue;
    pings_out_++;
    dht::RequestOptions options;
    options.socket = &socket()->socket();
    options.retries = 0;
    pings_.push_back(context_.node.ping(
        node,
        [this, retry](Expected<dht::Response> pong) {
          if (pong) sampler_->add(pong->to, pong->from);
          if (sampler_->settled()) settle();
          on_sample_done(retry);
        },
        std::move(options)));
  }
  on_sample_done(retry);
}

void Puncher::on_sample_done(bool retry) {
  if (--pings_out_ > 0) return;
  if (retry && sampler_->samples() < nat::Sampler::kEnough) return sample(false);
  settle();
}

void Puncher::settle() {
  analysis_over_ = true;
  settle_timer_.arm(context_.now());
}

bool Puncher::unstable() const {
  const bool both_random = remote_firewall_ >= wire::kFirewallRandom && sampler_->firewall() >= wire::kFirewallRandom;
  return both_random || sampler_->firewall() == wire::kFirewallUnknown;
}

void Puncher::analyze(bool allow_reopen, Analyzed callback) {
  if (stopped_ || waiters_.size() >= kMaxWaiters) return;
  waiters_.push_back({allow_reopen, std::move(callback)});
  if (analysis_over_ || sampler_->settled()) settle_timer_.arm(context_.now());
}

void Puncher::run_waiters() {
  if (!analysis_over_ && !sampler_->settled()) return;
  const bool bad = unstable();
  const bool wants_reopen = std::any_of(waiters_.begin(), waiters_.end(), [](const Waiter& w) { return w.allow_reopen; });
  if (bad && reopens_ < kMaxReopens && !punching() && (reopening_ || wants_reopen)) return reopen();
  reopening_ = false;
  bool stable = !bad;
  if (reopens_ > 0 && stable) {
    const wire::Firewall own = sampler_->firewall();
    stable = own == wire::kFirewallConsistent || own == wire::kFirewallOpen;
  }
  const auto waiting = std::exchange(waiters_, {});
  for (const Waiter& waiter : waiting) {
    waiter.callback(stable);
    if (stopped_) return;
  }
}

void Puncher::reopen() {
  reopening_ = true;
  reopens_++;
  auto fresh = context_.punch_sockets.open();
  if (!fresh) {
    reopens_ = kMaxReopens;
    return run_waiters();
  }
  pings_.clear();
  sockets_.clear();
  add_socket(std::move(fresh));
  start_sampling();
}

// --- the other side ---------------------------------------------------------------------------------

void Puncher::update_remote(const wire::HolepunchPayload& payload, std::optional<uint32_t> verified) {
  std::vector<nat::RemoteAddress> addresses;
  if (payload.addresses) {
    for (const Endpoint& address : *payload.addresses) {
      if (addresses.size() == kMaxRemoteAddresses) break;
      if (nat::is_reserved(address.address)) continue;
      const bool known = std::any_of(remote_addresses_.begin(), remote_addresses_.end(), [&](const nat::RemoteAddress& old) {
        return old.verified && old.endpoint.address == address.address;
      });
      addresses.push_back({address, known || (verified && *verified == address.address)});
    }
  }
  remote_firewall_ = coerce(payload.firewall);
  remote_punching_ = payload.punching;
  remote_addresses_ = std::move(addresses);
  if (plan_) plan_->set_addresses(remote_addresses_);
}

bool Puncher::involves_random() const { return remote_firewall_ >= wire::kFirewallRandom || sampler_->firewall() >= wire::kFirewallRandom; }

std::optional<uint32_t> Puncher::verified_host() const {
  const auto found =
      std::find_if(remote_addresses_.begin(), remote_addresses_.end(), [](const nat::RemoteAddress& a) { return a.verified; });
  return found == remote_addresses_.end() ? std::nullopt : std::optional(found->endpoint.address);
}

// --- punching ---------------------------------------------------------------------------------------

bool Puncher::punch() {
  if (stopped_) return false;
  if (plan_) return true;
  plan_ = nat::PunchPlan::make({initiator_, sampler_->firewall(), remote_firewall_, remote_addresses_}, context_.now());
  if (!plan_) return false;
  if (plan_->random()) {
    counted_random_ = true;
    context_.random_punches.begin(context_.now(), initiator_ ? std::nullopt : verified_host(), [this] { abort(); });
    context_.counters.punches_random++;
  } else {
    context_.counters.punches_consistent++;
  }
  while (sockets_.size() < plan_->sockets()) {
    auto socket = context_.punch_sockets.open();
    if (!socket) break;
    add_socket(std::move(socket));
  }
  on_plan_timer();
  return !stopped_;
}

void Puncher::on_plan_timer() {
  std::vector<nat::Probe> due;
  plan_->poll(context_.now(), context_.runtime.rng(), due);
  for (const nat::Probe& probe : due)
    if (probe.socket < sockets_.size()) sockets_[probe.socket]->send_probe(probe.to, probe.low_ttl);
  if (!plan_->next()) return abort();
  plan_timer_.arm(*plan_->next());
}

void Puncher::add_socket(std::shared_ptr<PunchSocket> socket) {
  socket->set_on_probe([this, weak = std::weak_ptr(socket)](const Endpoint& from) { on_probe(weak, from); });
  sockets_.push_back(std::move(socket));
}

void Puncher::on_probe(const std::weak_ptr<PunchSocket>& socket, const Endpoint& from) {
  const auto heard_on = socket.lock();
  if (!heard_on || stopped_) return;
  if (!initiator_) return heard_on->send_probe(from, false);
  stop(true);
  if (const auto callback = events_.on_connect) callback(heard_on, from);
}

}  // namespace hg::peer
