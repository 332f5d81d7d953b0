#include "tunnel/route_table.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace hg::tunnel {

namespace {

constexpr Duration kFirstAvoid = 1s;
constexpr uint32_t kMostAvoidDoublings = 5;
constexpr uint32_t kOutstandingSlack = 8;  // open requests a provider may be behind the least busy one and still be picked

GateKey key_of(const Service& service) { return {service.gate_port, service.protocol}; }

bool contains(std::span<const PublicKey> keys, const PublicKey& key) { return std::find(keys.begin(), keys.end(), key) != keys.end(); }

}  // namespace

uint64_t RouteTable::stride(const Route& route) {
  // A provider four times slower to open gets half the turns; below 10 ms all count as equal.
  uint64_t weight = 1;
  for (Duration bound = 10ms; route.latency >= bound && weight < 64; bound *= 4) weight *= 2;
  return weight;
}

/// Visits every route of the entry that owns the gate and of those with the same service host.
template <class Table, class Visit>
void RouteTable::visit_owner(Table& table, GateKey gate, Visit&& visit) {
  const auto found = table.find(gate);
  if (found == table.end() || found->second.empty()) return;
  const std::string& owner = found->second.front().service_host;
  for (auto& entry : found->second) {
    if (entry.service_host != owner) continue;
    for (auto& route : entry.routes) visit(route);
  }
}

RouteTable::Route* RouteTable::find(GateKey gate, const PublicKey& provider) {
  Route* found = nullptr;
  visit_owner(table_, gate, [&](Route& route) {
    if (route.provider == provider) found = &route;
  });
  return found;
}

template <class Drop>
bool RouteTable::drop_routes(Drop&& drop) {
  bool dropped = false;
  for (auto gate = table_.begin(); gate != table_.end();) {
    for (Entry& entry : gate->second) {
      const size_t gone = std::erase_if(entry.routes, [&](const Route& route) { return drop(gate->first, entry, route); });
      routes_ -= gone;
      dropped = dropped || gone > 0;
    }
    std::erase_if(gate->second, [](const Entry& entry) { return entry.routes.empty(); });
    gate = gate->second.empty() ? table_.erase(gate) : std::next(gate);
  }
  return dropped;
}

bool RouteTable::set_filter(GateFilter filter) {
  filter_ = std::move(filter);
  return drop_routes([&](const GateKey& gate, const Entry& entry, const Route& route) {
    return !filter_.passes({gate.port, entry.service_host, route.service_port, gate.protocol, entry.tags, {}});
  });
}

RouteTable::Route* RouteTable::route_of(const PublicKey& provider, const Service& service) {
  const auto found = table_.find(key_of(service));
  if (found == table_.end()) return nullptr;
  for (Entry& entry : found->second) {
    if (!entry.is_of(service)) continue;
    for (Route& route : entry.routes)
      if (route.provider == provider) return &route;
  }
  return nullptr;
}

RouteTable::Route* RouteTable::add_route(const PublicKey& provider, const Service& service) {
  Entries& entries = table_[key_of(service)];
  // It comes with the turn of who is next: all that share the load, whatever their tags.
  std::optional<uint64_t> next;
  for (const Entry& entry : entries) {
    if (entry.service_host != service.service_host) continue;
    for (const Route& other : entry.routes) next = std::min(next.value_or(other.turn), other.turn);
  }
  auto entry = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.is_of(service); });
  if (entry == entries.end()) entry = entries.insert(entries.end(), Entry{service.service_host, service.tags, {}});
  Route& fresh = entry->routes.emplace_back();
  fresh.provider = provider;
  fresh.turn = next.value_or(0);
  ++routes_;
  return &fresh;
}

bool RouteTable::put(const PublicKey& provider, const Service& service, TimePoint now) {
  Route* route = route_of(provider, service);
  const bool is_new = route == nullptr;
  if (is_new && routes_ >= kMaxRoutes) return false;
  if (is_new) route = add_route(provider, service);
  const bool moved = route->service_port != service.service_port;
  route->service_port = service.service_port;
  route->early = service.early;
  route->expires = now + expiration_;
  if (is_new || route->policy_text != service.ingress_policy) {
    route->policy_text = service.ingress_policy;
    route->policy.reset();
    ++policy_changes_;
    if (auto policy = IngressPolicy::parse(service.ingress_policy, "ingressPolicy", IngressPolicy::UnknownKeys::kIgnored))
      route->policy = std::make_shared<IngressPolicy>(std::move(*policy));
  }
  return is_new || moved;
}

bool RouteTable::update(const PublicKey& provider, const Advertisement& advertisement, TimePoint now) {
  const auto listed = [&](const GateKey& gate, const Entry& entry) {
    return std::any_of(advertisement.routes.begin(), advertisement.routes.end(),
                       [&](const Service& service) { return key_of(service) == gate && entry.is_of(service) && filter_.passes(service); });
  };
  bool changed = drop_routes(
      [&](const GateKey& gate, const Entry& entry, const Route& route) { return route.provider == provider && !listed(gate, entry); });
  for (const Service& service : advertisement.routes) {
    if (filter_.passes(service) && put(provider, service, now)) changed = true;
  }
  return changed;
}

void RouteTable::refresh(const PublicKey& provider, TimePoint now) {
  visit_routes(provider, [&](Route& route) { route.expires = now + expiration_; });
}

bool RouteTable::remove_provider(const PublicKey& provider) {
  return drop_routes([&](const GateKey&, const Entry&, const Route& route) { return route.provider == provider; });
}

void RouteTable::set_silent(const PublicKey& provider, TimePoint until) {
  visit_routes(provider, [&](Route& route) {
    route.silent = true;
    route.expires = std::min(route.expires, until);
  });
}

void RouteTable::set_answering(const PublicKey& provider, TimePoint now) {
  visit_routes(provider, [&](Route& route) {
    route.silent = false;
    route.expires = now + expiration_;
  });
}

bool RouteTable::expire(TimePoint now) {
  return drop_routes([&](const GateKey&, const Entry&, const Route& route) { return route.expires <= now; });
}

std::vector<Gate> RouteTable::gates() const {
  std::vector<Gate> gates;
  gates.reserve(table_.size());
  for (const auto& [key, entries] : table_) {
    const Entry& owner = entries.front();
    Gate gate{key, owner.service_host, owner.routes.front().service_port, owner.tags, {}, {}};
    for (const Entry& entry : entries) {
      if (entry.service_host == owner.service_host) {
        for (const Route& route : entry.routes) gate.providers.push_back(route.provider);
      } else if (std::find(gate.conflicts.begin(), gate.conflicts.end(), entry.service_host) == gate.conflicts.end()) {
        gate.conflicts.push_back(entry.service_host);
      }
    }
    gates.push_back(std::move(gate));
  }
  return gates;
}

std::vector<Service> RouteTable::offers_of(const PublicKey& provider) const {
  std::vector<Service> offers;
  for (const auto& [key, entries] : table_) {
    for (const Entry& entry : entries) {
      for (const Route& route : entry.routes) {
        if (route.provider != provider) continue;
        offers.push_back({key.port, entry.service_host, route.service_port, key.protocol, entry.tags, route.policy_text});
      }
    }
  }
  return offers;
}

template <class Visit>
void RouteTable::visit_routes(const PublicKey& provider, Visit&& visit) {
  for (auto& [gate, entries] : table_) {
    for (Entry& entry : entries) {
      for (Route& route : entry.routes) {
        if (route.provider == provider) visit(route);
      }
    }
  }
}

std::optional<RouteTable::Pick> RouteTable::pick(GateKey gate, TimePoint now, std::span<const PublicKey> avoid) {
  uint32_t least_outstanding = std::numeric_limits<uint32_t>::max();
  visit_owner(table_, gate, [&](Route& route) {
    if (route.expires > now && !contains(avoid, route.provider)) least_outstanding = std::min(least_outstanding, route.outstanding);
  });
  Route* best = nullptr;
  const auto rank = [&](const Route& route) {
    const bool failing = route.avoid_until > now;
    const bool busy = route.outstanding > least_outstanding + kOutstandingSlack;
    return std::tuple(route.silent, failing, failing ? route.avoid_until : TimePoint{}, busy, route.turn);
  };
  visit_owner(table_, gate, [&](Route& route) {
    if (route.expires <= now || contains(avoid, route.provider)) return;
    if (best == nullptr || rank(route) < rank(*best)) best = &route;
  });
  if (best == nullptr) return std::nullopt;
  best->turn += stride(*best);
  return Pick{best->provider, best->policy, table_.at(gate).front().service_host, best->early};
}

std::vector<PublicKey> RouteTable::providers_of(GateKey gate, TimePoint now) const {
  std::vector<PublicKey> providers;
  visit_owner(table_, gate, [&](const Route& route) {
    if (route.expires > now) providers.push_back(route.provider);
  });
  return providers;
}

bool RouteTable::has_healthy(GateKey gate, TimePoint now, std::span<const PublicKey> avoid) const {
  bool found = false;
  visit_owner(table_, gate, [&](const Route& route) {
    found = found || (route.expires > now && !route.silent && route.avoid_until <= now && !contains(avoid, route.provider));
  });
  return found;
}

std::optional<RouteTable::Policy> RouteTable::policy_of(GateKey gate, const std::string& service_host, const PublicKey& provider) const {
  const auto found = table_.find(gate);
  if (found == table_.end()) return std::nullopt;
  for (const Entry& entry : found->second) {
    if (entry.service_host != service_host) continue;
    for (const Route& route : entry.routes)
      if (route.provider == provider) return route.policy;
  }
  return std::nullopt;
}

Duration RouteTable::latency_of(GateKey gate, const PublicKey& provider) const {
  Duration latency{};
  visit_owner(table_, gate, [&](const Route& route) {
    if (route.provider == provider) latency = route.latency;
  });
  return latency;
}

void RouteTable::open_started(GateKey gate, const PublicKey& provider) {
  if (Route* route = find(gate, provider)) ++route->outstanding;
}

void RouteTable::open_cancelled(GateKey gate, const PublicKey& provider) {
  Route* route = find(gate, provider);
  if (route != nullptr && route->outstanding > 0) --route->outstanding;
}

void RouteTable::open_succeeded(GateKey gate, const PublicKey& provider, Duration took) {
  open_cancelled(gate, provider);
  Route* route = find(gate, provider);
  if (route == nullptr) return;
  route->failures = 0;
  route->avoid_until = {};
  route->latency = route->latency == Duration{} ? took : (route->latency * 7 + took) / 8;
}

void RouteTable::open_failed(GateKey gate, const PublicKey& provider, TimePoint now) {
  open_cancelled(gate, provider);
  Route* route = find(gate, provider);
  if (route == nullptr) return;
  route->avoid_until = now + kFirstAvoid * (1 << std::min(route->failures, kMostAvoidDoublings));
  ++route->failures;
}

}  // namespace hg::tunnel
