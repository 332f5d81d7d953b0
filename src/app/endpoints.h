// The program's own HTTP endpoints: fingerprint resolver (provider), /unlimited (gateway), metrics and health.
//
//   open() listens before the network is joined ─▶ attach() once the node is there
//
// Owned by Member. One thread.
#pragma once

#include <memory>

#include "app/config.h"
#include "app/relay_role.h"
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
  /// Both outlive this.
  void attach(tunnel::Node& node, dht::Node& dht);
  /// Outlives this, too; not called by a member that relays for nobody.
  void attach(const RelayRole& relay) { relay_ = &relay; }

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
  const RelayRole* relay_ = nullptr;
  std::unique_ptr<http::Resolver> resolver_;
  std::unique_ptr<http::Unlimited> unlimited_;
  std::unique_ptr<http::Server> resolver_server_;
  std::unique_ptr<http::Server> unlimited_server_;
  std::unique_ptr<http::Server> metrics_server_;
};

}  // namespace hg::app
