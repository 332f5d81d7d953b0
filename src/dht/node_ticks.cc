// What time does to a node: pings, refreshes, health, persistence, sleep, changed networks.
#include <algorithm>

#include "base/log.h"
#include "dht/node_internals.h"

namespace hg::dht {
namespace {

// npm dht-rpc 6.27 index.js; ticks of 5 s.
constexpr Duration kTick = std::chrono::seconds(5);
constexpr int64_t kSleepMs = 3 * to_ms(kTick);
constexpr int64_t kStableTicks = 240;
constexpr int64_t kMoreStableTicks = 3 * kStableTicks;
constexpr int64_t kRefreshTicks = 60;
constexpr uint64_t kOldTicks = 360;
constexpr uint64_t kPingEvery = 8;
constexpr uint64_t kSmallTableRefreshEvery = 64;
/// A node that must be persistent tries again this often while its address is not known or the firewall test fails.
constexpr int64_t kForceTicks = 6;
constexpr Duration kSilence = 4s;  // a network that answers does so within one

int64_t random_offset(Rng& rng, int64_t n) { return n - rng.below(static_cast<uint32_t>(n / 2)); }

}  // namespace

void Node::start_ticks() {
  Internals& in = *internals_;
  Rng& rng = runtime_.rng();
  in.tick = static_cast<uint64_t>(random_offset(rng, 100));
  in.refresh_ticks = random_offset(rng, kRefreshTicks);
  in.stable_ticks = kStableTicks;
  in.last_tick_wall_ms = runtime_.wall_ms();
  in.tick_timer.arm(runtime_.now() + kTick);
  in.silence_timer.arm(runtime_.now() + kSilence);
}

void Node::on_tick() {
  Internals& in = *internals_;
  in.tick_timer.arm(runtime_.now() + kTick);
  const int64_t wall = runtime_.wall_ms();
  if (wall - std::exchange(in.last_tick_wall_ms, wall) > kSleepMs)
    notify_wakeup();
  else
    in.tick++;
  in.down_hints_sent = 0;
  check_interfaces();
  if (closed_ || !ready_) return;

  if (ephemeral_ && options_.ephemeral == NodeOptions::Ephemeral::kAdaptive && --in.stable_ticks <= 0) {
    const auto seen = external_address();
    if (in.tested_host && seen && *in.tested_host == seen->address)
      in.stable_ticks = kMoreStableTicks;
    else
      update_network_state(false, [](bool) {});
  }
  if (ephemeral_ && options_.ephemeral == NodeOptions::Ephemeral::kNever) force_persistence();
  if (in.tick % kPingEvery == 0) ping_some();
  const bool small = in.tick % kSmallTableRefreshEvery == 0 && table_.size() < RoutingTable::kBucketSize;
  if (small || --in.refresh_ticks <= 0) refresh();
  if (table_.size() == 0 && in.bootstrap->has_entries()) in.bootstrap->kick();

  const Health verdict = in.monitor.update(rpc_->counters.responses, rpc_->counters.timeouts);
  set_health(in.bootstrap->unreachable() ? Health::kOffline : verdict);
}

void Node::on_silence_timer() {
  if (closed_ || rpc_->counters.responses > 0 || !has_bootstrap()) return;
  HG_LOG(kWarn, "dht", "no DHT node answers: is UDP blocked here, or the bootstrap wrong? Trying on");
}

void Node::force_persistence() {
  if (--internals_->force_ticks > 0) return;
  internals_->force_ticks = kForceTicks;
  update_network_state(false, [](bool) {});
}

void Node::notify_wakeup() {
  if (closed_) return;
  Internals& in = *internals_;
  in.last_tick_wall_ms = runtime_.wall_ms();
  HG_LOG(kInfo, "dht", "woke up from sleep");
  in.tick += 2 * kOldTicks;                          // everything is old
  in.tick += kPingEvery - in.tick % kPingEvery - 2;  // pings in two ticks
  in.stable_ticks = kMoreStableTicks;
  in.refresh_ticks = 1;
  in.tested_host.reset();
  in.monitor.reset();
  if (options_.ephemeral == NodeOptions::Ephemeral::kAdaptive) become_ephemeral();
  resample_address();
  if (bootstrap_unreachable()) in.bootstrap->kick_now();
  notify([](NodeListener& l) { l.on_wakeup(); });
}

void Node::become_ephemeral() {
  if (std::exchange(ephemeral_, true)) return;
  notify([](NodeListener& l) { l.on_ephemeral(); });
}

void Node::check_interfaces() {
  auto now = interfaces_now(runtime_);
  if (now == internals_->interfaces) return;
  internals_->interfaces = std::move(now);
  notify_network_change();
}

void Node::notify_network_change() {
  if (closed_) return;
  HG_LOG(kInfo, "dht", "network interfaces changed");
  internals_->interfaces = interfaces_now(runtime_);
  internals_->refresh_ticks = std::min<int64_t>(internals_->refresh_ticks, 1);
  resample_address();
  if (bootstrap_unreachable()) internals_->bootstrap->kick_now();
  notify([](NodeListener& l) { l.on_network_change(); });
}

/// Every node may tell our address anew; their answers count beside the old ones until there are enough.
void Node::resample_address() {
  if (options_.host) return;
  internals_->next_nat = std::make_unique<NatSampler>();
  internals_->samples_without_id.clear();
  internals_->votes.clear();
  internals_->elsewhere.clear();
  for (Contact& contact : table_.by_age()) contact.sampled = 0;
}

void Node::adopt_new_address() {
  Internals& in = *internals_;
  const NatSampler& next = *in.next_nat;
  const bool other_host = in.nat->known() && next.known() && in.nat->address().address != next.address().address;
  const bool moved = other_host || (in.open_at && (!next.known() || next.address() != *in.open_at));
  in.nat = std::move(in.next_nat);
  notify([](NodeListener& l) { l.on_nat_update(); });
  if (!moved) return;
  HG_LOG(kInfo, "dht", "our address is now {}", in.nat->known() ? in.nat->address().to_string() : "unknown");
  if (const bool was = std::exchange(firewalled_, options_.firewalled); was != options_.firewalled) {
    // The other socket has another port: what was seen of this one does not count for it.
    resample_address();
    in.nat = std::move(in.next_nat);
  }
  in.open_at.reset();
  in.tested_host.reset();
  in.force_ticks = 0;
  become_ephemeral();
  if (in.bootstrap) in.bootstrap->kick();
}

void Node::refresh() {
  internals_->refresh_ticks = kRefreshTicks;
  const Contact* random = table_.random(runtime_.rng());
  internals_->refresh_query = std::make_unique<Query>(
      *this, Command{.command = wire::kFindNode, .target = random != nullptr ? random->id : table_.id(), .internal = true},
      QueryOptions{.concurrency = 2},
      [this](const Response&) { internals_->refresh_query->set_concurrency(busy() ? 2 : options_.concurrency); }, nullptr,
      [this](Expected<QueryResult>) { internals_->refresh_query.reset(); });
}

void Node::postpone_refresh() { internals_->refresh_ticks = kRefreshTicks; }

void Node::set_health(Health health) {
  if (std::exchange(internals_->health, health) == health) return;
  HG_LOG(kInfo, "dht", "network is {}", health == Health::kOnline ? "online" : health == Health::kDegraded ? "degraded" : "offline");
  notify([health](NodeListener& l) { l.on_health(health); });
}

void Node::on_bootstrapped(bool reached) {
  if (closed_) return;
  set_health(reached ? internals_->monitor.verdict() : Health::kOffline);
  if (std::exchange(ready_, true)) return;
  const auto callbacks = std::exchange(internals_->ready_callbacks, {});
  for (const auto& callback : callbacks) callback();
  notify([](NodeListener& l) { l.on_ready(); });
}

void Node::update_network_state(bool only_firewall, std::function<void(bool)> done) {
  Internals& in = *internals_;
  if (options_.ephemeral == NodeOptions::Ephemeral::kAlways) only_firewall = true;
  if (closed_ || in.updating_network_state || !ephemeral_ || (only_firewall && !firewalled_)) return done(false);
  const auto seen = external_address();
  if (!only_firewall) {
    in.stable_ticks = kMoreStableTicks;
    if (seen) in.tested_host = seen->address;
  }
  if (!seen || seen->port == 0) return done(false);
  if (!firewalled_) return finish_network_update(only_firewall, *seen, nullptr, std::move(done));
  in.updating_network_state = true;
  in.firewall_probe = std::make_unique<FirewallProbe>(
      *this, seen->address, [this, only_firewall, seen = *seen, done = std::move(done)](std::unique_ptr<NatSampler> probed) {
        internals_->updating_network_state = false;
        if (closed_) return;
        if (probed)
          finish_network_update(only_firewall, seen, std::move(probed), done);
        else
          done(false);
      });
}

void Node::finish_network_update(bool only_firewall, const Endpoint& seen_as, std::unique_ptr<NatSampler> probed,
                                 std::function<void(bool)> done) {
  Internals& in = *internals_;
  firewalled_ = false;
  if (probed) in.open_at = probed->address();
  if (!ephemeral_ || !in.nat->known() || in.nat->address() != seen_as) return done(false);
  const Endpoint address = probed ? probed->address() : seen_as;
  if (probed) {
    in.samples_without_id.clear();
    in.nat = std::move(probed);
    if (address != seen_as) notify([](NodeListener& l) { l.on_nat_update(); });
  }
  const bool persistent = !only_firewall;
  if (persistent) ephemeral_ = false;
  if (const Hash32 id = node_id(address); id != table_.id()) {
    table_.rebuild(id);
    if (ready_) refresh();
  }
  if (persistent) {
    HG_LOG(kInfo, "dht", "persistent node at {}", address.to_string());
    notify([](NodeListener& l) { l.on_persistent(); });
  }
  done(true);
}

}  // namespace hg::dht
