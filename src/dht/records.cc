// Mutable and immutable values: the client side (declared in operations.h).
#include "crypto/crypto.h"
#include "dht/node.h"
#include "dht/operations.h"
#include "dht/signing.h"

namespace hg::dht {
namespace {

Command external(wire::Command command, const Hash32& target, std::optional<Bytes> value) {
  return {.command = command, .target = target, .value = std::move(value)};
}

/// A query that only reports an error, for arguments that cannot work.
template <class Done>
QueryHandle refused(Node& node, const Hash32& target, Done done, Error error) {
  // Nobody is asked: the query has no nodes, and its own outcome is replaced.
  return std::make_unique<Query>(node, external(wire::kFindPeer, target, std::nullopt), QueryOptions{.only_these_nodes = true}, nullptr,
                                 nullptr, [done = std::move(done), error = std::move(error)](Expected<QueryResult>) { done(error); });
}

Query::Commit put_with_token(wire::Command command, const Hash32& target, Bytes value) {
  return [command, target, value = std::move(value)](const Response& reply) -> std::optional<Command> {
    if (!reply.token) return std::nullopt;
    Command request = external(command, target, value);
    request.token = reply.token;
    return request;
  };
}

Error too_large() { return {"VALUE_TOO_LARGE", "a DHT value holds at most " + std::to_string(kMaxValueBytes) + " bytes"}; }

}  // namespace

QueryHandle immutable_put(Node& node, Bytes value, QueryOptions options, std::function<void(Expected<Hash32>)> done) {
  const Hash32 target = hash_target(value);
  if (value.size() > kMaxValueBytes) return refused(node, target, std::move(done), too_large());
  return std::make_unique<Query>(node, external(wire::kImmutableGet, target, std::nullopt), std::move(options), nullptr,
                                 put_with_token(wire::kImmutablePut, target, std::move(value)),
                                 [target, done = std::move(done)](Expected<QueryResult> result) {
                                   if (result)
                                     done(target);
                                   else
                                     done(result.error());
                                 });
}

QueryHandle immutable_get(Node& node, const Hash32& target, QueryOptions options,
                          std::function<void(Expected<std::optional<Bytes>>)> done) {
  const auto callback = std::make_shared<std::function<void(Expected<std::optional<Bytes>>)>>(std::move(done));
  auto on_reply = [target, callback](const Response& reply) {
    if (!*callback || !reply.value || hash_target(*reply.value) != target) return;
    std::exchange(*callback, nullptr)(reply.value);
  };
  return std::make_unique<Query>(node, external(wire::kImmutableGet, target, std::nullopt), std::move(options), std::move(on_reply),
                                 nullptr, [callback](Expected<QueryResult> result) {
                                   if (!*callback) return;
                                   if (result)
                                     std::exchange(*callback, nullptr)(std::optional<Bytes>());
                                   else
                                     std::exchange(*callback, nullptr)(result.error());
                                 });
}

QueryHandle mutable_put(Node& node, const KeyPair& keys, Bytes value, uint64_t seq, QueryOptions options, Query::DoneCallback done) {
  const Hash32 target = hash_target(keys.public_key);
  if (value.size() > kMaxValueBytes) return refused(node, target, std::move(done), too_large());
  wire::MutablePut put{keys.public_key, seq, std::move(value), {}};
  put.signature = crypto::sign_detached(mutable_signable(seq, put.value), keys.secret_key);
  return std::make_unique<Query>(node, external(wire::kMutableGet, target, wire::encode_uint(0)), std::move(options), nullptr,
                                 put_with_token(wire::kMutablePut, target, wire::encode(put)),
                                 [done = std::move(done)](Expected<QueryResult> result) {
                                   if (result || result.error().code != "COMMIT_FAILED") return done(std::move(result));
                                   const std::string& message = result.error().message;
                                   if (message.ends_with("error " + std::to_string(wire::kErrorSeqReused)))
                                     return done(Error{"SEQ_REUSED", "another value has this sequence number"});
                                   if (message.ends_with("error " + std::to_string(wire::kErrorSeqTooLow)))
                                     return done(Error{"SEQ_TOO_LOW", "a newer value is stored"});
                                   done(std::move(result));
                                 });
}

QueryHandle mutable_get(Node& node, const PublicKey& key, uint64_t min_seq, bool latest, QueryOptions options,
                        std::function<void(Expected<std::optional<MutableValue>>)> done) {
  struct Search {
    std::optional<MutableValue> best;
    std::function<void(Expected<std::optional<MutableValue>>)> done;
  };
  const auto search = std::make_shared<Search>();
  search->done = std::move(done);
  auto on_reply = [key, min_seq, latest, search](const Response& reply) {
    if (!search->done || !reply.value) return;
    const auto record = wire::decode_mutable_record(*reply.value);
    if (!record || record->seq < min_seq || (search->best && record->seq <= search->best->seq)) return;
    if (!crypto::verify_detached(record->signature, mutable_signable(record->seq, record->value), key)) return;
    search->best = MutableValue{reply.from, record->seq, record->value};
    if (!latest) std::exchange(search->done, nullptr)(search->best);
  };
  return std::make_unique<Query>(node, external(wire::kMutableGet, hash_target(key), wire::encode_uint(min_seq)), std::move(options),
                                 std::move(on_reply), nullptr, [search](Expected<QueryResult> result) {
                                   if (!search->done) return;
                                   const auto run = std::exchange(search->done, nullptr);
                                   if (result)
                                     run(search->best);
                                   else
                                     run(result.error());
                                 });
}

}  // namespace hg::dht
