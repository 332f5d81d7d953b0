#include "app/endpoints.h"

#include "app/metrics.h"
#include "app/network.h"
#include "base/log.h"
#include "http/encoding.h"

namespace hg::app {

Endpoints::Endpoints(io::Loop& loop, const EndpointOptions& options, const tunnel::Limits& limits)
    : loop_(loop), options_(options), limits_(limits), started_(loop.now()) {}

Expected<void> Endpoints::open() {
  for (const auto step : {&Endpoints::open_resolver, &Endpoints::open_unlimited, &Endpoints::open_metrics}) {
    if (auto opened = (this->*step)(); !opened) return opened;
  }
  return {};
}

Expected<void> Endpoints::open_resolver() {
  if (!options_.resolver) return {};
  resolver_ = std::make_unique<http::Resolver>(loop_, limits_, options_.resolver_auth);
  auto server = http::Server::listen(loop_, *options_.resolver, [this](const http::Request& request) {
    return resolver_->answer(request, resolver_server_->local_address());
  });
  if (!server) return Error{server.error().code, "fingerprint resolver: " + server.error().message};
  resolver_server_ = std::move(*server);
  HG_LOG(kInfo, "http", "fingerprint resolver on http://{}{}", resolver_server_->local_address().to_string(),
         options_.resolver_auth.empty() ? "" : ", with a password");
  return {};
}

Expected<void> Endpoints::open_unlimited() {
  if (!options_.unlimited) return {};
  const auto run_blocking = [this](std::function<void()> work, std::function<void()> done) {
    loop_.run_blocking(std::move(work), std::move(done));
  };
  unlimited_ = std::make_unique<http::Unlimited>(loop_, options_.unlimited_secret, run_blocking,
                                                 [this](const http::Grant& one) { return grant(one); });
  auto server = http::Server::listen_late(
      loop_, *options_.unlimited, [this](const http::Request& request, http::Server::Reply reply) { unlimited_->answer(request, reply); });
  if (!server) return Error{server.error().code, "/unlimited: " + server.error().message};
  unlimited_server_ = std::move(*server);
  HG_LOG(kInfo, "http", "/unlimited on http://{}", unlimited_server_->local_address().to_string());
  return {};
}

Expected<void> Endpoints::open_metrics() {
  if (!options_.metrics) return {};
  if (!has_metrics()) return Error{"USAGE", "--metrics: this build has none"};
  auto server = http::Server::listen(loop_, *options_.metrics, [this](const http::Request& request) { return answer_metrics(request); });
  if (!server) return Error{server.error().code, "metrics: " + server.error().message};
  metrics_server_ = std::move(*server);
  status_ = std::make_unique<StatusEndpoint>(loop_);
  const std::string address = metrics_server_->local_address().to_string();
  HG_LOG(kInfo, "http", "metrics on http://{}/metrics, status on http://{}/", address, address);
  return {};
}

void Endpoints::attach(tunnel::Node& node, dht::Node& dht, const relay::GateSet* gates, const PublicKey& router) {
  node_ = &node;
  dht_ = &dht;
  gates_ = gates;
  if (status_) status_->attach(node, dht, gates, router);
}

void Endpoints::attach(const RelayRole& relay) {
  relay_ = &relay;
  if (status_) status_->attach([&relay] { return relay.figures(); });
}

bool Endpoints::grant(const http::Grant& one) {
  return node_ != nullptr && node_->gateway() != nullptr && node_->gateway()->admissions().set_override(one.ip, one.expire_at_ms);
}

http::Response Endpoints::answer_metrics(const http::Request& request) const {
  const http::Target target = http::parse_target(request.target);
  http::Response response;
  if (request.method != "GET" && request.method != "HEAD") {
    response.status = 405;
    response.headers["Allow"] = "GET, HEAD";
  } else if (target.path == "/healthz") {
    response.body = "ok\n";  // the loop turns, or nobody would answer
  } else if (target.path == "/readyz") {
    const bool ready = node_ != nullptr && dht_ != nullptr && joined(*dht_);
    response.status = ready ? 200 : 503;
    response.body = ready ? "ready\n" : "joining the network\n";
  } else if (target.path == "/metrics") {
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = render_metrics({.uptime = loop_.now() - started_,
                                    .node = node_,
                                    .dht = dht_,
                                    .gates = gates_,
                                    .relay = relay_ == nullptr ? std::nullopt : std::optional(relay_->figures())});
  } else if (auto status = status_->answer(request, metrics_server_->local_address())) {
    response = std::move(*status);
  } else {
    response.status = 404;
    response.body = "there are /, /status, /metrics, /healthz and /readyz\n";
  }
  return response;
}

}  // namespace hg::app
