// Finding peers in topics: when to look up, when to announce.
//
//   join ─▶ lookup at once ─▶ (server listening) announce ─▶ lookup right after, and 0.5, 1, 2 s later
//                                                             │
//     5 s while alone (15 s after a minute) ◀── period() ────▶ 10 s, doubled up to 10 min once peers are known,
//                                                              but never past the next announce
//
// Two peers that join at the same moment can miss each other: both look up before either has announced.
// The lookups after the announce close that gap. A lookup that does not find our own record where it
// should be announces again at once (storing nodes come and go). Records live 13 to 27 minutes, so they
// are renewed every 5. Leaving unannounces at the nodes that were used last.
//
// Owned by the Swarm; handles (Discovery) refer to it weakly. One thread.
#pragma once

#include <map>
#include <unordered_map>

#include "base/timer.h"
#include "dht/operations.h"
#include "peer/host.h"
#include "swarm/swarm.h"

namespace hg::swarm {

class TopicSearch {
 public:
  struct Setup {
    Runtime& runtime;
    dht::Node& node;
    const KeyPair& key_pair;
    /// With the host that names it.
    std::function<void(const Topic&, const wire::Peer&, uint32_t host)> on_peer;
    /// Null while we do not listen yet (the first announce has not finished).
    std::function<peer::Server*()> listening_server;
  };

  TopicSearch(Setup& setup, const Topic& topic);

  /// How many handles want what.
  void set_interest(size_t servers, size_t clients);
  bool wanted() const { return servers_ + clients_ > 0; }
  void refresh();
  void flushed(std::function<void()> callback);
  void on_listening() { step(); }
  /// A connection was lost, or our records are: look again soon.
  void on_loss();
  /// Ends everything; calls back when the unannounce (if one is needed) is over.
  void leave(std::function<void()> done);

 private:
  static constexpr Duration kAlone = 5s;
  static constexpr Duration kAloneLong = 15s;
  static constexpr int kAloneRounds = 12;
  static constexpr Duration kFirstStable = 10s;
  static constexpr Duration kMostStable = std::chrono::minutes(10);  // hyperswarm's refresh interval
  static constexpr Duration kAnnounceEvery = std::chrono::minutes(5);
  static constexpr Duration kAfterLoss = 1s;
  static constexpr Duration kRetryFirst = 1s;
  static constexpr Duration kRetryMost = 15s;
  static constexpr size_t kFullReply = 20;  // records a node returns at most (hyperdht)

  void step();
  bool announce_due() const;
  void run_announce(const peer::Server& server);
  void run_lookup();
  void on_peers(const wire::LookupReply& reply, const Endpoint& from);
  void on_announced(Expected<dht::QueryResult> result);
  void on_looked_up(Expected<dht::QueryResult> result);
  void after_round();
  void schedule(Duration delay);
  Duration period();
  void run_flushed();

  Setup& setup_;
  Topic topic_;
  size_t servers_ = 0;
  size_t clients_ = 0;

  dht::QueryHandle query_;
  bool busy_ = false;
  bool want_announce_ = false;
  bool want_lookup_ = false;
  bool first_announce_ = true;
  bool announced_ = false;  // records of ours may be out there
  bool leaving_ = false;
  TimePoint announced_at_{};
  std::vector<Endpoint> announced_relays_;
  std::vector<Endpoint> closest_;
  Duration retry_ = kRetryFirst;

  // of the round under way
  size_t others_seen_ = 0;
  bool self_seen_ = false;
  bool full_reply_ = false;

  bool newcomer_ = true;   // others may have joined at the same moment
  size_t quick_left_ = 0;  // lookups soon after an announce
  int alone_rounds_ = 0;
  Duration stable_ = kFirstStable;
  std::vector<std::function<void()>> flushed_;
  std::function<void()> left_;
  Timer timer_;
  Timer done_;
};

class DiscoveryHub : public std::enable_shared_from_this<DiscoveryHub> {
 public:
  explicit DiscoveryHub(TopicSearch::Setup setup) : setup_(std::move(setup)) {}

  std::unique_ptr<Discovery> join(const Topic& topic, JoinOptions options);
  void refresh_all();
  void on_listening();
  void on_loss(const std::vector<Topic>& topics);
  bool wants(const Topic& topic) const { return topics_.contains(topic); }
  bool wants_clients(const std::vector<Topic>& topics) const;
  /// Leaves every topic.
  void close(std::function<void()> done);

 private:
  friend class Discovery;
  struct Entry {
    size_t servers = 0;
    size_t clients = 0;
    std::unique_ptr<TopicSearch> search;
  };

  void change(const Topic& topic, JoinOptions options, int by);
  void leave(const Topic& topic);
  void on_left(uint64_t id);
  TopicSearch* find(const Topic& topic);

  TopicSearch::Setup setup_;
  std::unordered_map<Topic, Entry, ArrayHash> topics_;
  std::map<uint64_t, std::unique_ptr<TopicSearch>> leaving_;
  uint64_t next_leaving_ = 1;
  bool closed_ = false;
  std::function<void()> on_closed_;
};

}  // namespace hg::swarm
