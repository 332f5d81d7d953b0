#include "peer/router.h"

#include "dht/storage.h"

namespace hg::peer {
namespace {

UdpSocket* socket_of(const RoutedReply& reply, Context& context) {
  if (reply.from_node_socket) return &context.node.socket();
  return reply.from ? &reply.from->socket() : nullptr;
}

bool usable(const std::optional<Endpoint>& address) { return address && address->port != 0; }

Bytes handshake_value(uint64_t mode, const Bytes& noise, std::optional<Endpoint> peer, std::optional<Endpoint> relay = {}) {
  return wire::encode(wire::Handshake{mode, noise, peer, relay});
}

Bytes holepunch_value(uint64_t mode, uint64_t id, const Bytes& payload, std::optional<Endpoint> peer) {
  return wire::encode(wire::Holepunch{mode, id, payload, peer});
}

}  // namespace

Router::Router(Context& context, const ServerRegistry& registry) : context_(context), registry_(registry) {
  context_.node.set_command_handler(wire::kPeerHandshake, [this](dht::IncomingRequest& request) { on_handshake(request); });
  context_.node.set_command_handler(wire::kPeerHolepunch, [this](dht::IncomingRequest& request) { on_holepunch(request); });
}

Router::~Router() {
  context_.node.set_command_handler(wire::kPeerHandshake, [](dht::IncomingRequest&) {});
  context_.node.set_command_handler(wire::kPeerHolepunch, [](dht::IncomingRequest&) {});
}

std::optional<Endpoint> Router::route(const dht::IncomingRequest& request) {
  if (!request.target) return std::nullopt;
  const auto found = context_.node.find_route(*request.target);
  return found ? std::optional(found->relay) : std::nullopt;
}

void Router::on_handshake(dht::IncomingRequest& request) {
  if (!request.value || !request.target) return;
  const auto message = wire::decode_handshake(*request.value);
  if (!message || message->noise.empty()) return;
  if (ServerImpl* server = registry_.find(*request.target)) return serve_handshake(*server, *message, request);
  relay_handshake(*message, request);
}

void Router::serve_handshake(ServerImpl& server, const wire::Handshake& message, const dht::IncomingRequest& request) {
  const bool direct = message.mode == wire::kFromClient;
  if (!direct && !(message.mode == wire::kFromRelay || (message.mode == wire::kFromSecondRelay && usable(message.relay_address)))) return;
  if (!direct && !usable(message.peer_address)) return;
  wire::Handshake incoming = message;
  if (direct) incoming.peer_address.reset();
  const auto reply = server.on_handshake(incoming, request);
  if (!reply) return;
  UdpSocket* socket = socket_of(*reply, context_);
  if (direct) {
    request.reply(handshake_value(wire::kReply, reply->bytes, {}), {.token = false, .closer_nodes = false, .socket = socket});
    return;
  }
  const Endpoint relay = message.mode == wire::kFromRelay ? request.from : *message.relay_address;
  request.relay(relay, handshake_value(wire::kFromServer, reply->bytes, message.peer_address), socket);
}

void Router::relay_handshake(const wire::Handshake& message, const dht::IncomingRequest& request) {
  const auto server = route(request);
  switch (message.mode) {
    case wire::kFromClient: {
      const auto to = usable(message.relay_address) ? message.relay_address : server;
      if (!to) return request.reply(std::nullopt, {.token = false, .closer_nodes = true});
      context_.counters.handshakes_relayed++;
      return request.relay(*to, handshake_value(wire::kFromRelay, message.noise, request.from));
    }
    case wire::kFromRelay:
      if (!server || !usable(message.peer_address)) return;
      context_.counters.handshakes_relayed++;
      return request.relay(*server, handshake_value(wire::kFromSecondRelay, message.noise, message.peer_address, request.from));
    case wire::kFromServer:
      if (!usable(message.peer_address)) return;
      return request.reply_to(*message.peer_address, handshake_value(wire::kReply, message.noise, request.from));
    default:
      return;
  }
}

void Router::on_holepunch(dht::IncomingRequest& request) {
  if (!request.value || !request.target) return;
  const auto message = wire::decode_holepunch(*request.value);
  if (!message) return;
  switch (message->mode) {
    case wire::kFromClient: {
      const auto to = usable(message->peer_address) ? message->peer_address : route(request);
      if (!to) return;
      context_.counters.punches_relayed++;
      return request.relay(*to, holepunch_value(wire::kFromRelay, message->id, message->payload, request.from));
    }
    case wire::kFromRelay: {
      ServerImpl* server = registry_.find(*request.target);
      if (server == nullptr || !usable(message->peer_address)) return;
      // Answered later, possibly: the request is copied, and the client's address goes back with the reply.
      return server->on_holepunch(*message, request, [this, request, client = *message->peer_address](const RoutedReply& reply) {
        request.relay(request.from, holepunch_value(wire::kFromServer, 0, reply.bytes, client), socket_of(reply, context_));
      });
    }
    case wire::kFromServer:
      if (!usable(message->peer_address)) return;
      return request.reply_to(*message->peer_address, holepunch_value(wire::kReply, message->id, message->payload, request.from));
    default:
      return;
  }
}

}  // namespace hg::peer
