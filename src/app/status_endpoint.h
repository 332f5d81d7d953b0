// GET /status and GET / of the metrics address: a member's state as JSON, and the page that shows it.
//
// Both are for reading. Other sites' pages get nothing: there are no CORS headers, and a name in Host (what a browser says whose page made
// the name point here, DNS rebinding) is refused on a loopback listener and counts as another machine elsewhere.
//
// Owned by Endpoints. One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "app/recent_warnings.h"
#include "app/status_report.h"
#include "app/traffic_rate.h"
#include "http/server.h"
#include "io/loop.h"

namespace hg::app {

class StatusEndpoint {
 public:
  /// Warnings are kept from now on.
  explicit StatusEndpoint(io::Loop& loop) : loop_(loop), started_(loop.now()), warnings_(loop) {}

  /// They outlive this. `gates`: null without the gateway role.
  void attach(const tunnel::Node& node, const dht::Node& dht, const relay::GateSet* gates, const PublicKey& router);
  /// `relay`: asked for its figures; not called by a member that relays for nobody.
  void attach(std::function<RelayFigures()> relay) { relay_ = std::move(relay); }

  /// `listener`: the server's address. nullopt: the path is none of ours.
  std::optional<http::Response> answer(const http::Request& request, const io::SocketAddress& listener) const;

 private:
  StatusSources sources() const;
  http::Response page() const;

  io::Loop& loop_;
  const TimePoint started_;
  RecentWarnings warnings_;
  const tunnel::Node* node_ = nullptr;
  const dht::Node* dht_ = nullptr;
  const relay::GateSet* gates_ = nullptr;
  std::optional<PublicKey> router_;
  std::function<RelayFigures()> relay_;
  std::unique_ptr<TrafficRate> rate_;
};

}  // namespace hg::app
