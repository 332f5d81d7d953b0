// The parts of Node that its users need not see. Included by the node_*.cc files only.
#pragma once

#include <algorithm>
#include <deque>
#include <list>
#include <unordered_set>

#include "dht/bootstrap.h"
#include "dht/firewall_probe.h"
#include "dht/health.h"
#include "dht/nat_sampler.h"
#include "dht/query.h"
#include "dht/rpc.h"
#include "dht/storage.h"
#include "dht/tokens.h"

namespace hg::dht {

constexpr size_t kMaxChecks = 10;  // nodes asked at a time whether they are there, for a hint or a doubt (npm dht-rpc 6.27)

/// Sorted: the system lists them in an order of its own.
inline std::vector<uint32_t> interfaces_now(Runtime& runtime) {
  auto addresses = runtime.network().interface_addresses();
  std::sort(addresses.begin(), addresses.end());
  return addresses;
}

struct DelayedPing {
  DelayedPing(TimerQueue& timers, IncomingRequest r)
      : request(std::move(r)), timer(timers, [this] {
          const auto run = fire;  // which destroys this
          run();
        }) {}
  IncomingRequest request;
  std::function<void()> fire;
  Timer timer;
};

struct Node::Internals {
  Internals(Node& node, const Tokens& fresh_tokens);

  std::vector<NodeListener*> listeners;  // removed ones are nulled while notifying
  int notifying = 0;
  std::vector<std::function<void()>> ready_callbacks;
  std::unordered_set<const UdpSocket*> attached;
  Tokens tokens;
  Timer token_timer;
  std::list<DelayedPing> delayed_pings;

  // Our address.
  std::unique_ptr<NatSampler> nat = std::make_unique<NatSampler>();
  std::unique_ptr<NatSampler> next_nat;      // replaces `nat` after a network change, once it has seen enough
  std::vector<Endpoint> samples_without_id;  // repliers without id whose view was used
  struct Vote {
    uint32_t host;
    uint64_t tick;
  };
  std::deque<Vote> votes;                  // public hosts whose view was used last, as many as the sampler holds
  std::optional<Endpoint> open_at;         // where a firewall test found us reachable
  std::unordered_set<Endpoint> elsewhere;  // who has seen us at another address since somebody last saw us there
  std::vector<uint32_t> interfaces;
  std::optional<uint32_t> tested_host;  // of the last full network state update
  bool updating_network_state = false;
  std::unique_ptr<FirewallProbe> firewall_probe;

  // Upkeep.
  Timer tick_timer;
  Timer silence_timer;  // once, after start(): has anybody answered?
  uint64_t tick = 0;
  int64_t last_tick_wall_ms = 0;
  int64_t refresh_ticks = 0;
  int64_t stable_ticks = 0;
  int64_t force_ticks = 0;
  size_t repinging = 0;
  size_t checks = 0;
  size_t down_hints_sent = 0;
  std::unique_ptr<Query> refresh_query;
  std::unique_ptr<Bootstrap> bootstrap;
  HealthMonitor monitor;
  Health health = Health::kOnline;
};

template <class Call>
void Node::notify(Call call) {
  auto& listeners = internals_->listeners;
  ++internals_->notifying;
  for (size_t i = 0; i < listeners.size(); ++i)
    if (listeners[i] != nullptr) call(*listeners[i]);
  if (--internals_->notifying == 0) std::erase(listeners, nullptr);
}

}  // namespace hg::dht
