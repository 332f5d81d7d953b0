// hyperdht's client operations on top of Query: find_peer, lookup, announce, unannounce, mutable and
// immutable records (npm hyperdht 6.34).
//
// Each returns the query; destroying it cancels silently. `done` runs exactly once unless cancelled. All
// signatures are made per storing node, over its id and its fresh token.
#pragma once

#include "dht/query.h"

namespace hg::dht {

using QueryHandle = std::unique_ptr<Query>;

/// FIND_PEER for `target` (= hash_target(public key)): `on_peer` per node that has a record, `on_reply` not called otherwise.
QueryHandle find_peer(Node& node, const Hash32& target, QueryOptions options,
                      std::function<void(const Response&, const wire::Peer&)> on_peer, Query::DoneCallback done);

/// LOOKUP: `on_peers` per node that knows peers of the topic.
QueryHandle lookup(Node& node, const Hash32& topic, QueryOptions options,
                   std::function<void(const Response&, const wire::LookupReply&)> on_peers, Query::DoneCallback done);

struct AnnounceOptions {
  QueryOptions query{};
  uint64_t bump = 0;   // Unix milliseconds; 0: none
  bool clear = false;  // first remove our records where a lookup finds them
};
/// LOOKUP, then a signed ANNOUNCE at each closest node. `on_peers` may be empty.
QueryHandle announce(Node& node, const Hash32& topic, const KeyPair& keys, std::vector<Endpoint> relay_addresses, AnnounceOptions options,
                     std::function<void(const Response&, const wire::LookupReply&)> on_peers, Query::DoneCallback done);

/// LOOKUP, and a signed UNANNOUNCE wherever our key is listed (or the list is full).
QueryHandle lookup_and_unannounce(Node& node, const Hash32& topic, const KeyPair& keys, QueryOptions options,
                                  std::function<void(const Response&, const wire::LookupReply&)> on_peers, Query::DoneCallback done);
inline QueryHandle unannounce(Node& node, const Hash32& topic, const KeyPair& keys, QueryOptions options, Query::DoneCallback done) {
  return lookup_and_unannounce(node, topic, keys, std::move(options), {}, std::move(done));
}

/// One signed ANNOUNCE / UNANNOUNCE to the node that sent `reply` (needs its id and token; without: error NO_TOKEN).
/// An INVALID_TOKEN answer is retried once with the fresh token it carries.
[[nodiscard]] RequestHandle request_announce(Node& node, const Hash32& target, const KeyPair& keys, const Response& reply,
                                             const std::vector<Endpoint>& relay_addresses, uint64_t bump, ResponseCallback callback);
[[nodiscard]] RequestHandle request_unannounce(Node& node, const Hash32& target, const KeyPair& keys, const Response& reply,
                                               ResponseCallback callback);

/// A found mutable record; the signature has been verified.
struct MutableValue {
  Endpoint from;
  uint64_t seq = 0;
  Bytes value;
};

/// Values of at most 1000 bytes fit a datagram together with token and closer nodes; larger: error VALUE_TOO_LARGE.
constexpr size_t kMaxValueBytes = 1000;

QueryHandle immutable_put(Node& node, Bytes value, QueryOptions options, std::function<void(Expected<Hash32>)> done);
/// First node whose value hashes to `target`; nullopt: nobody has it.
QueryHandle immutable_get(Node& node, const Hash32& target, QueryOptions options, std::function<void(Expected<std::optional<Bytes>>)> done);
/// Refused by every node with SEQ_REUSED or SEQ_TOO_LOW: that error.
QueryHandle mutable_put(Node& node, const KeyPair& keys, Bytes value, uint64_t seq, QueryOptions options, Query::DoneCallback done);
/// The record with the highest seq ≥ `min_seq` (`latest`), or the first found.
QueryHandle mutable_get(Node& node, const PublicKey& key, uint64_t min_seq, bool latest, QueryOptions options,
                        std::function<void(Expected<std::optional<MutableValue>>)> done);

}  // namespace hg::dht
