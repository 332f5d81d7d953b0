// PEER_HANDSHAKE and PEER_HOLEPUNCH as they reach this node: for a key we listen on, or to be passed on.
//
//   client ── FROM_CLIENT ─▶ relay ── FROM_RELAY ─▶ [second relay ── FROM_SECOND_RELAY ─▶] server
//   client ◀── REPLY ─────── relay ◀── FROM_SERVER ──────────────────────────────────────── server
//
// FROM_CLIENT straight to the server is answered in place. The relay keeps no state: addresses travel in
// the messages, and the transaction id is the client's throughout. Owned by HostImpl. Source: hyperdht
// 6.34 lib/router.
#pragma once

#include "peer/context.h"
#include "peer/registry.h"
#include "peer/server.h"

namespace hg::peer {

class Router {
 public:
  Router(Context& context, const ServerRegistry& registry);
  ~Router();

  void on_handshake(dht::IncomingRequest& request);
  void on_holepunch(dht::IncomingRequest& request);

 private:
  void serve_handshake(ServerImpl& server, const wire::Handshake& message, const dht::IncomingRequest& request);
  void relay_handshake(const wire::Handshake& message, const dht::IncomingRequest& request);
  std::optional<Endpoint> route(const dht::IncomingRequest& request);

  Context& context_;
  const ServerRegistry& registry_;
};

}  // namespace hg::peer
