#include "dht/operations.h"

#include <algorithm>

#include "crypto/crypto.h"
#include "dht/node.h"
#include "dht/signing.h"
#include "dht/storage.h"

namespace hg::dht {
namespace {

constexpr size_t kFullLookupReply = 20;  // npm hyperdht 6.34: such a reply may hide our record

using OnPeers = std::function<void(const Response&, const wire::LookupReply&)>;

Command external(wire::Command command, const Hash32& target, std::optional<Bytes> value = std::nullopt) {
  return {.command = command, .target = target, .value = std::move(value)};
}

std::optional<wire::LookupReply> lookup_reply(const Response& reply) {
  if (!reply.value) return std::nullopt;
  return wire::decode_lookup_reply(*reply.value);
}

QueryHandle start(Node& node, Command command, QueryOptions options, Query::ReplyCallback on_reply, Query::Commit commit,
                  Query::DoneCallback done) {
  node.postpone_refresh();
  return std::make_unique<Query>(node, std::move(command), std::move(options), std::move(on_reply), std::move(commit), std::move(done));
}

Query::ReplyCallback peers_callback(OnPeers on_peers) {
  if (!on_peers) return nullptr;
  return [on_peers = std::move(on_peers)](const Response& reply) {
    if (const auto found = lookup_reply(reply)) on_peers(reply, *found);
  };
}

/// One signed request, sent again once with the fresh token when the first was stale.
struct SignedRequest : std::enable_shared_from_this<SignedRequest> {
  SignedRequest(Node& n, wire::Command c, const Hash32& t, const KeyPair& k, std::vector<Endpoint> r, uint64_t b, ResponseCallback cb)
      : node(n), command(c), target(t), keys(k), relays(std::move(r)), bump(b), callback(std::move(cb)) {}
  ~SignedRequest() { crypto::wipe(keys.secret_key); }

  void send(const Endpoint& to, const Hash32& id, const Hash32& token, bool may_retry) {
    Command request = external(command, target, signed_announce(command, keys, target, id, token, relays, bump));
    request.token = token;
    inner = node.request(to, std::move(request), [self = shared_from_this(), to, id, may_retry](Expected<Response> answer) {
      if (may_retry && answer && answer->error == wire::kInvalidToken && answer->token) return self->send(to, id, *answer->token, false);
      self->cancel.reset();
      if (const auto run = std::exchange(self->callback, nullptr)) run(std::move(answer));
    });
  }

  Node& node;
  wire::Command command;
  Hash32 target;
  KeyPair keys;
  std::vector<Endpoint> relays;
  uint64_t bump;
  ResponseCallback callback;
  RequestHandle inner;
  std::shared_ptr<std::function<void()>> cancel;
};

RequestHandle send_signed(Node& node, wire::Command command, const Hash32& target, const KeyPair& keys, const Response& reply,
                          std::vector<Endpoint> relays, uint64_t bump, ResponseCallback callback) {
  const auto request = std::make_shared<SignedRequest>(node, command, target, keys, std::move(relays), bump, std::move(callback));
  request->cancel = std::make_shared<std::function<void()>>([weak = std::weak_ptr(request)] {
    const auto self = weak.lock();
    if (!self) return;
    self->callback = nullptr;
    self->inner.cancel();
  });
  RequestHandle handle(request->cancel);
  if (reply.id && reply.token) {
    request->send(reply.from, *reply.id, *reply.token, true);
  } else {
    node.runtime().post([request] {
      request->cancel.reset();
      if (const auto run = std::exchange(request->callback, nullptr)) run(Error{"NO_TOKEN", "the node gave no id or no token"});
    });
  }
  return handle;
}

/// The UNANNOUNCEs of one lookup; the query is held until each has been answered.
struct Unannounces {
  Query* query = nullptr;
  std::vector<RequestHandle> requests;
};

bool lists(const wire::LookupReply& reply, const PublicKey& key) {
  return reply.peers.size() >= kFullLookupReply ||
         std::any_of(reply.peers.begin(), reply.peers.end(), [&](const wire::Peer& peer) { return peer.public_key == key; });
}

QueryHandle unannouncing_lookup(Node& node, const Hash32& topic, const KeyPair& keys, QueryOptions options, OnPeers on_peers,
                                Query::Commit commit, Query::DoneCallback done) {
  node.storage().unannounce(topic, keys.public_key);
  const auto clear = std::make_shared<Unannounces>();
  auto on_reply = [&node, topic, keys, clear, on_peers = std::move(on_peers)](const Response& reply) {
    const auto found = lookup_reply(reply);
    if (!found) return;
    if (reply.id && reply.token && lists(*found, keys.public_key)) {
      clear->query->hold();
      // The query keeps this callback, and with it `clear`, until the last release.
      clear->requests.push_back(
          request_unannounce(node, topic, keys, reply, [query = clear->query](Expected<Response>) { query->release(); }));
    }
    if (on_peers) on_peers(reply, *found);
  };
  auto query = start(node, external(wire::kLookup, topic), std::move(options), std::move(on_reply), std::move(commit), std::move(done));
  clear->query = query.get();
  return query;
}

}  // namespace

QueryHandle find_peer(Node& node, const Hash32& target, QueryOptions options,
                      std::function<void(const Response&, const wire::Peer&)> on_peer, Query::DoneCallback done) {
  Query::ReplyCallback on_reply = [on_peer = std::move(on_peer)](const Response& reply) {
    if (!reply.value || !on_peer) return;
    if (const auto peer = wire::decode_peer(*reply.value)) on_peer(reply, *peer);
  };
  return start(node, external(wire::kFindPeer, target), std::move(options), std::move(on_reply), nullptr, std::move(done));
}

QueryHandle lookup(Node& node, const Hash32& topic, QueryOptions options, OnPeers on_peers, Query::DoneCallback done) {
  return start(node, external(wire::kLookup, topic), std::move(options), peers_callback(std::move(on_peers)), nullptr, std::move(done));
}

QueryHandle announce(Node& node, const Hash32& topic, const KeyPair& keys, std::vector<Endpoint> relay_addresses, AnnounceOptions options,
                     OnPeers on_peers, Query::DoneCallback done) {
  Query::Commit commit = [topic, keys, relays = std::move(relay_addresses),
                          bump = options.bump](const Response& reply) -> std::optional<Command> {
    if (!reply.token) return std::nullopt;
    Command request =
        external(wire::kAnnounce, topic, signed_announce(wire::kAnnounce, keys, topic, *reply.id, *reply.token, relays, bump));
    request.token = reply.token;
    return request;
  };
  if (options.clear)
    return unannouncing_lookup(node, topic, keys, std::move(options.query), std::move(on_peers), std::move(commit), std::move(done));
  return start(node, external(wire::kLookup, topic), std::move(options.query), peers_callback(std::move(on_peers)), std::move(commit),
               std::move(done));
}

QueryHandle lookup_and_unannounce(Node& node, const Hash32& topic, const KeyPair& keys, QueryOptions options, OnPeers on_peers,
                                  Query::DoneCallback done) {
  return unannouncing_lookup(node, topic, keys, std::move(options), std::move(on_peers), nullptr, std::move(done));
}

RequestHandle request_announce(Node& node, const Hash32& target, const KeyPair& keys, const Response& reply,
                               const std::vector<Endpoint>& relay_addresses, uint64_t bump, ResponseCallback callback) {
  return send_signed(node, wire::kAnnounce, target, keys, reply, relay_addresses, bump, std::move(callback));
}

RequestHandle request_unannounce(Node& node, const Hash32& target, const KeyPair& keys, const Response& reply, ResponseCallback callback) {
  return send_signed(node, wire::kUnannounce, target, keys, reply, {}, 0, std::move(callback));
}

}  // namespace hg::dht
