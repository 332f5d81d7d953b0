// The storage role of a persistent node (npm hyperdht 6.34 lib/persistent): announced peers, routes to
// peers that announced themselves, mutable and immutable values.
//
//   ANNOUNCE at hash(own key) ─► routes    target → {source address, peer record}      FIND_PEER, relaying
//   ANNOUNCE elsewhere        ─► records   topic → {key → peer record}                 LOOKUP
//
// Everything is bounded in count and bytes and forgets by generations (generation_cache.h): a record lives
// 13 to 27 min unless announced again. One host may fill half of anything. Requests that are invalid, or beyond that, are ignored
// silently, as the reference does with invalid ones.
// Owned by the node; one thread.
#pragma once

#include <memory>

#include "base/runtime.h"
#include "dht/generation_cache.h"
#include "dht/message.h"
#include "dht/record_cache.h"

namespace hg::dht {

class Storage {
 public:
  struct Options {
    size_t max_records = 65536;  // hyperdht defaultMaxSize; records, routes, refreshes, bumps each
    size_t max_records_per_topic = 4096;
    size_t max_values = 32768;          // mutable and immutable each
    size_t max_value_bytes = 16 << 20;  // mutable and immutable each, per generation
    Duration max_age = std::chrono::minutes(20);
    Duration value_max_age = std::chrono::hours(48);
  };

  Storage(Runtime& runtime, const Options& options);
  ~Storage();

  /// Answers a storage command addressed to the persistent node `own_id`; false: not one of them.
  bool handle(IncomingRequest& request, const Hash32& own_id);

  std::optional<Route> find_route(const Hash32& target);
  /// A peer of this very process: FIND_PEER and LOOKUP answer with its record until released; remote announcements do not replace it.
  void retain(const Hash32& target, Bytes record);
  void release(const Hash32& target);
  /// Forgets a peer of ours without a request (our own unannounce).
  void unannounce(const Hash32& target, const PublicKey& key);

  size_t record_count() const;
  size_t route_count() const;
  size_t value_count() const;

 private:
  struct Refresh {
    Hash32 target;
    Bytes record;
    bool self = false;
  };

  void on_find_peer(IncomingRequest& request);
  void on_lookup(IncomingRequest& request);
  void on_announce(IncomingRequest& request, const Hash32& own_id);
  void on_refresh(IncomingRequest& request, const Hash32& refresh);
  void on_unannounce(IncomingRequest& request, const Hash32& own_id);
  void on_mutable_put(IncomingRequest& request);
  void on_mutable_get(IncomingRequest& request);
  void on_immutable_put(IncomingRequest& request);
  void on_immutable_get(IncomingRequest& request);
  /// False: the host it came from has its share already.
  bool store_peer(const Hash32& target, const Endpoint& from, const PublicKey& key, Bytes record, bool self);
  std::optional<Bytes> peer_record(const Hash32& target);

  Runtime& runtime_;
  Options options_;
  std::unordered_map<Hash32, Bytes, ArrayHash> retained_;
  GenerationCache<Route> routes_;
  RecordCache records_;
  GenerationCache<uint64_t> bumps_;
  GenerationCache<Refresh> refreshes_;
  GenerationCache<Bytes> mutables_;
  GenerationCache<Bytes> immutables_;
  Timer sweep_;
  Timer value_sweep_;
};

}  // namespace hg::dht
