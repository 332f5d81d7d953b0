// The program's own HTTP endpoints: fingerprint resolver (provider), /unlimited (gateway), metrics, health and status.
//
//   open() listens before the network is joined ─▶ attach() once the node is there
//
// Owned by Member. One thread.
#pragma once

#include <memory>

#include "app/config.h"
#include "app/relay_role.h"
#include "app/status_endpoint.h"
#include "dht/node.h"
#include "http/resolver.h"
#include "http/server.h"
#include "http/unlimited.h"
#include "tunnel/node.h"

namespace hg::app {

class Endpoints {
 public:
  Endpoints(io::Loop& loop, const EndpointOptions& options, const tunnel::Limits& limits);

  Expected<void> open();
  /// nullptr without a resolver.
  tunnel::ServiceObserver* observer() { return resolver_.get(); }
  /// All outlive this. `gates`: null without the gateway role; `router`: its name.
  void attach(tunnel::Node& node, dht::Node& dht, const relay::GateSet* gates, const PublicKey& router);
  /// Outlives this, too; not called by a member that relays for nobody.
  void attach(const RelayRole& relay);

 private:
  Expected<void> open_resolver();
  Expected<void> open_unlimited();
  Expected<void> open_metrics();
  http::Response answer_metrics(const http::Request& request) const;
  bool grant(const http::Grant& grant);

  io::Loop& loop_;
  const EndpointOptions options_;
  const tunnel::Limits limits_;
  const TimePoint started_;
  tunnel::Node* node_ = nullptr;
  dht::Node* dht_ = nullptr;
  const relay::GateSet* gates_ = nullptr;
  const RelayRole* relay_ = nullptr;
  std::unique_ptr<http::Resolver> resolver_;
  std::unique_ptr<http::Unlimited> unlimited_;
  std::unique_ptr<StatusEndpoint> status_;  // with the metrics
  std::unique_ptr<http::Server> resolver_server_;
  std::unique_ptr<http::Server> unlimited_server_;
  std::unique_ptr<http::Server> metrics_server_;
};

}  // namespace hg::app
