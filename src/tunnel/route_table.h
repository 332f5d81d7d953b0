// A gateway's routes: who offers what, which service owns a gate, and which provider the next channel goes to.
//
//   gate (port, protocol) ─▶ entries (serviceHost, tags; in the order first seen) ─▶ routes (provider, expiry, health)
//
// The first entry with a live route owns the gate; entries with its serviceHost are the same service and share the load; others are in
// conflict and wait. A route goes when it expires, when its provider stops listing it, or at once with its provider's connection.
#pragma once

#include <compare>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "tunnel/gate_filter.h"
#include "tunnel/ingress_policy.h"
#include "tunnel/routes.h"

namespace hg::tunnel {

struct GateKey {
  uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
  auto operator<=>(const GateKey&) const = default;
};

/// A gate as people and the relay see it.
struct Gate {
  GateKey key;
  std::string service_host;
  uint16_t service_port = 0;
  std::string tags;
  std::vector<PublicKey> providers;
  std::vector<std::string> conflicts;  // hosts of other services that want this gate
};

class RouteTable {
 public:
  static constexpr size_t kMaxRoutes = 65536;  // over all providers

  RouteTable(GateFilter filter, Duration expiration) : filter_(std::move(filter)), expiration_(expiration) {}

  bool wants(const Service& service) const { return filter_.passes(service); }
  /// Routes that do not pass any more go; true when there were some.
  bool set_filter(GateFilter filter);
  /// Replaces what `provider` offers. True when the set of gates or their owners may have changed.
  bool update(const PublicKey& provider, const Advertisement& advertisement, TimePoint now);
  /// The same advertisement again: only the expiry moves.
  void refresh(const PublicKey& provider, TimePoint now);
  bool remove_provider(const PublicKey& provider);
  /// The provider does not answer: others go first, and its routes expire at `until` at the latest.
  void set_silent(const PublicKey& provider, TimePoint until);
  void set_answering(const PublicKey& provider, TimePoint now);
  bool expire(TimePoint now);

  std::vector<Gate> gates() const;
  /// What `provider` offers and the filter lets pass.
  std::vector<Service> offers_of(const PublicKey& provider) const;
  size_t size() const { return routes_; }
  bool has(GateKey gate) const { return table_.contains(gate); }

  struct Pick {
    PublicKey provider{};
    std::shared_ptr<const IngressPolicy> policy;  // null: none
    std::string service_host;
    bool early = true;
  };
  /// The provider for the next channel, none of `avoid`: healthy ones before those that just failed, and these before silent ones; among
  /// them by turns, slower ones less often.
  std::optional<Pick> pick(GateKey gate, TimePoint now, std::span<const PublicKey> avoid);
  using Policy = std::shared_ptr<const IngressPolicy>;  // null: none
  /// The policy of a route, also of one in conflict; nullopt: there is no such route.
  std::optional<Policy> policy_of(GateKey gate, const std::string& service_host, const PublicKey& provider) const;
  /// Counts routes that are new or whose policy changed.
  uint64_t policy_changes() const { return policy_changes_; }
  /// Those that offer it now, whatever became of them lately.
  std::vector<PublicKey> providers_of(GateKey gate, TimePoint now) const;
  /// True when pick() would find a provider that is neither in `avoid` nor failing nor silent.
  bool has_healthy(GateKey gate, TimePoint now, std::span<const PublicKey> avoid) const;

  /// Smoothed time that opening a channel took there; zero when it is not known.
  Duration latency_of(GateKey gate, const PublicKey& provider) const;
  void open_started(GateKey gate, const PublicKey& provider);
  void open_succeeded(GateKey gate, const PublicKey& provider, Duration took);
  void open_failed(GateKey gate, const PublicKey& provider, TimePoint now);
  /// Neither: the client went away.
  void open_cancelled(GateKey gate, const PublicKey& provider);

 private:
  struct Route {
    PublicKey provider{};
    uint16_t service_port = 0;
    bool early = true;
    TimePoint expires;
    std::string policy_text;
    std::shared_ptr<const IngressPolicy> policy;
    // Health.
    uint64_t turn = 0;  // stride scheduling: the smallest goes next
    bool silent = false;
    uint32_t outstanding = 0;
    uint32_t failures = 0;  // in a row
    TimePoint avoid_until{};
    Duration latency{};  // smoothed time to open
  };
  struct Entry {
    std::string service_host;
    std::string tags;
    std::vector<Route> routes;
    bool is_of(const Service& service) const { return service_host == service.service_host && tags == service.tags; }
  };
  using Entries = std::vector<Entry>;

  Route* route_of(const PublicKey& provider, const Service& service);
  Route* add_route(const PublicKey& provider, const Service& service);
  bool put(const PublicKey& provider, const Service& service, TimePoint now);
  template <class Drop>
  bool drop_routes(Drop&& drop);
  static uint64_t stride(const Route& route);
  template <class Table, class Visit>
  static void visit_owner(Table& table, GateKey gate, Visit&& visit);
  template <class Visit>
  void visit_routes(const PublicKey& provider, Visit&& visit);
  Route* find(GateKey gate, const PublicKey& provider);

  GateFilter filter_;
  Duration expiration_;
  std::map<GateKey, Entries> table_;
  size_t routes_ = 0;
  uint64_t policy_changes_ = 0;
};

}  // namespace hg::tunnel
