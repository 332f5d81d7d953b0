#include "app/status_endpoint.h"

#include "app/status_page.h"
#include "http/encoding.h"
#include "http/host_header.h"

namespace hg::app {

namespace {

http::Response refusal(int status, std::string body) {
  http::Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

}  // namespace

void StatusEndpoint::attach(const tunnel::Node& node, const dht::Node& dht, const relay::GateSet* gates, const PublicKey& router) {
  node_ = &node;
  dht_ = &dht;
  gates_ = gates;
  router_ = router;
  rate_ = std::make_unique<TrafficRate>(loop_, [&node] { return read_traffic(node); });
}

std::optional<http::Response> StatusEndpoint::answer(const http::Request& request, const io::SocketAddress& listener) const {
  const std::string path = http::parse_target(request.target).path;
  if (path != "/" && path != "/status") return std::nullopt;
  const bool by_address = http::is_asked_by_address(request);
  if (!by_address && http::is_loopback(listener)) return refusal(403, std::string(http::kAskByAddress) + '\n');
  // Who comes from the address he goes to is on the same machine.
  const bool here = http::is_loopback(request.client) || request.client.canonical_host() == listener.canonical_host();
  http::Response response =
      path == "/" ? page() : http::json_response(200, boost::json::serialize(status_report(sources(), here && by_address)) + "\n");
  response.headers["X-Content-Type-Options"] = "nosniff";
  response.headers["Cross-Origin-Resource-Policy"] = "same-origin";
  return response;
}

StatusSources StatusEndpoint::sources() const {
  return {.now = loop_.now(),
          .wall_ms = loop_.wall_ms(),
          .uptime = loop_.now() - started_,
          .warnings = warnings_,
          .node = node_,
          .dht = dht_,
          .rate = rate_.get(),
          .gates = gates_,
          .relay = relay_ ? std::optional(relay_()) : std::nullopt,
          .router = router_};
}

http::Response StatusEndpoint::page() const {
  const std::string nonce = to_hex(loop_.rng().array<16>());
  http::Response response;
  response.content_type = "text/html; charset=utf-8";
  response.body = status_page(nonce);
  response.headers["Content-Security-Policy"] =
      "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
      "frame-ancestors 'none'; style-src 'nonce-" +
      nonce + "'; script-src 'nonce-" + nonce + "'";
  response.headers["Cache-Control"] = "no-store";
  response.headers["Referrer-Policy"] = "no-referrer";
  return response;
}

}  // namespace hg::app
