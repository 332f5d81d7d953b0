// An iterative Kademlia query (npm dht-rpc 6.27 lib/query): asks ever closer nodes for a target, then
// optionally commits at the closest ones.
//
//   seed (given nodes, table, bootstrap) ─► visit up to `concurrency` at once ─► no closer node left
//        ▲                                        │ closer nodes of replies         │
//        └────────────────────────────────────────┘                                 ▼
//                                              done ◄── all answered ◄── commit to the ≤ 20 closest replies
//
// Ownership: the caller holds the query; destroying it cancels everything silently. Callbacks may destroy
// it. It always settles: each request does, and a watchdog ends a query that makes no progress. A query
// must not outlive its node. One thread.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "dht/message.h"

namespace hg::dht {

struct QueryOptions {
  size_t concurrency = 0;         // 0: the node's
  int retries = 5;                // dht-rpc: six sends
  std::vector<Endpoint> nodes{};  // asked first, closest first (e.g. QueryResult::closest_nodes() of the last time)
  bool only_these_nodes = false;  // never walk further than `nodes`
};

struct QueryResult {
  std::vector<Response> closest;  // ≤ 20 replies of persistent nodes, closest to the target first
  size_t replies = 0;             // without error
  size_t errors = 0;              // error replies and timeouts
  size_t committed = 0;
  size_t commit_failures = 0;

  std::vector<Endpoint> closest_nodes() const;
};

class Query {
 public:
  using ReplyCallback = std::function<void(const Response&)>;
  /// The request to commit at a closest reply's node, made from that reply's token; nullopt skips the node.
  using Commit = std::function<std::optional<Command>(const Response&)>;
  using DoneCallback = std::function<void(Expected<QueryResult>)>;

  /// Starts in the next turn. `command` is sent to every visited node (its token is ignored).
  /// `on_reply` runs per reply without error. Errors of `done`: NODE_DESTROYED; QUERY_STALLED (watchdog); with a commit also
  /// TOO_FEW_NODES (nobody to commit at) and COMMIT_FAILED (all refused or silent; message names the last error).
  Query(Node& node, Command command, QueryOptions options, ReplyCallback on_reply, Commit commit, DoneCallback done);
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  const Hash32& target() const;
  bool finished() const;
  /// For background work that should yield to the rest.
  void set_concurrency(size_t concurrency);
  /// Nothing is committed and the query does not finish while held more often than released.
  void hold();
  void release();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hg::dht
