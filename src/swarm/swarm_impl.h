// The swarm's state: peers found, links (attempts and connections), bans.
//
//   on_peer ─▶ record ─▶ queued ─▶ link (attempt) ─▶ link (connection) ─▶ closed ─▶ retry_at ─▶ queued …
//                  (whose turn it is: voices.h)
//   incoming ─▶ verdict against the link of the same key, if any ─▶ link (connection)
//
// One link per key. The duplicate rule (hyperswarm 4.17): a newer incoming connection replaces the link if
// that one has both sent and received messages (the peer must have lost it), or if our key is the
// smaller one; so the side with the larger key ends as initiator. An incoming connection that has to give
// way to an attempt of ours waits as a spare while that proves its path; one that has found none yet is called off.
//
// A link counts only once the receiver has confirmed its connection (swarm_strangers.cc).
//
// Connections that may move (both ends said so): while one is silent or relayed, both ends try to connect
// anew (mover.h); the fresh connection, of which the handshake says what it is for, only brings its path
// (swarm_moves.cc). Private to this room.
#pragma once

#include <deque>
#include <unordered_map>
#include <unordered_set>

#include "base/timer.h"
#include "dht/node.h"
#include "peer/host.h"
#include "swarm/discovery.h"
#include "swarm/mover.h"
#include "swarm/peer_record.h"
#include "swarm/relay_book.h"
#include "swarm/swarm.h"
#include "swarm/voices.h"

namespace hg::swarm {

class Swarm::Impl final : private dht::NodeListener, private peer::RelaySource {
 public:
  Impl(Runtime& runtime, peer::Host& host, SwarmOptions options);
  ~Impl() override;

  std::unique_ptr<Discovery> join(const Topic& topic, JoinOptions options);
  void ban(const PublicKey& key);
  bool banned(const PublicKey& key) const { return bans_.contains(key); }
  void confirm(const PublicKey& key);
  const PublicKey& public_key() const { return options_.key_pair.public_key; }
  SwarmStats stats() const;
  void set_relay(const PublicKey& peer, const std::optional<PublicKey>& relay);
  void network_changed();
  void close(std::function<void()> done);

  OnConnection on_connection;

 private:
  static constexpr size_t kMaxRecords = 4096;
  static constexpr size_t kMaxRecordsOfHost = kMaxRecords / 2;  // where there are several
  static constexpr size_t kFewRecords = 64;                     // of a host are not too many
  static constexpr size_t kMaxBans = 4096;
  static constexpr size_t kIncomingFactor = 2;  // incoming connections may exceed max_peers this far
  static constexpr size_t kMaxStrangers = 32;   // unconfirmed connections in each direction: a hello takes a round trip
  static constexpr size_t kMaxStrangersPerHost = 8;
  static constexpr Duration kCloseTimeout = 4s;
  static constexpr Duration kSlow = 10s;        // an attempt that takes longer leaves its turn to another,
  static constexpr size_t kMaxConnecting = 24;  // up to so many in all
  static constexpr Duration kRetryGrain = 50ms;
  static constexpr Duration kRelayPatience = 3s;  // with an attempt that began before any relay was known
  static constexpr int kRelayTries = 3;           // in a row and at once; then with the usual pauses
  static constexpr Duration kSparePatience = 2s;  // with an attempt of ours that proves its path, at a time
  static constexpr size_t kMaxMoves = 8;          // attempts at a time, beside the ordinary ones
  static constexpr size_t kMaxEscorts = 64;
  static constexpr Duration kEscortInitiator = 5s;  // the fresh connection stays until the other end has surely proven it
  static constexpr Duration kEscortResponder = 8s;

  struct Link {
    bool client = false;
    bool confirmed = false;
    bool crowded_out = false;                        // `connection` is being destroyed to make room
    TimePoint since{};                               // when `attempt` began or `connection` was handed out
    std::unique_ptr<peer::Attempt> attempt;          // while connecting
    bool relay_offered = false;                      // by that attempt
    noise::SecureConnection* connection = nullptr;   // while open; owned by the receiver
    std::unique_ptr<noise::SecureConnection> heir;   // takes over once `connection` has closed
    std::unique_ptr<noise::SecureConnection> spare;  // incoming; takes over if `attempt` comes to nothing
    std::unique_ptr<Timer> spare_timer;
    std::unique_ptr<Mover> mover;  // when `connection` may move
    // While `connection` moves onto the relay that this one runs through.
    std::unique_ptr<noise::SecureConnection> relayed_fresh;
    std::unique_ptr<peer::RelayedMove> relayed_move;
  };
  struct Escort {
    std::unique_ptr<noise::SecureConnection> connection;
    TimePoint until;
  };

  // Peers and attempts.
  void on_peer(const Topic& topic, const wire::Peer& peer, uint32_t host);
  bool refused(const PublicKey& key) const;
  void enqueue(PeerRecord& record);
  bool room_for_record(uint32_t host);
  void connect_some();
  PeerRecord* next_in_queue();
  Voice* next_voice();
  void connect(PeerRecord& record);
  void on_attempt_over(const PublicKey& key, Expected<std::unique_ptr<noise::SecureConnection>> result);
  void after_disconnect(const PublicKey& key, bool client, bool confirmed);
  void arm_retry();
  void on_retry();
  void forget_old();

  // Relays (swarm_relays.cc).
  void plan_relay(PeerRecord& record, Link& link, peer::ConnectOptions& options);
  void after_failure(const PublicKey& key, const Error& error, bool relay_offered);
  void restart_without_relay();
  std::optional<PublicKey> relay_for_client(const PublicKey& client) const;
  std::optional<peer::DirectPath> path_to(const PublicKey& relay) override;

  // Connections.
  void on_incoming(std::unique_ptr<noise::SecureConnection> connection);
  void replace(Link& link, std::unique_ptr<noise::SecureConnection> connection);
  void keep_spare(Link& link, std::unique_ptr<noise::SecureConnection> connection);
  void on_spare_due(const PublicKey& key);
  void hand_out(std::unique_ptr<noise::SecureConnection> connection, bool client);
  void on_closed(const PublicKey& key, const noise::SecureConnection* connection);

  // Strangers (swarm_strangers.cc).
  size_t confirmed_links() const;
  bool room_for_client() const;
  void arm_slow_timer();
  bool room_for_server() const { return confirmed_links() < options_.max_peers * kIncomingFactor; }
  /// Destroys the oldest unconfirmed connection of that direction where there are too many, of all hosts or of this one.
  void make_room(const noise::SecureConnection& newcomer, bool client);

  // Moves (swarm_moves.cc).
  void on_path_event(const PublicKey& key, const noise::SecureConnection* connection, noise::PathEvent event);
  static void tell_mover(Link& link);
  std::optional<uint32_t> find_session(const PublicKey& key, const Hash32& session) const;
  std::unique_ptr<peer::Attempt> start_move(const PublicKey& key, Mover::Why why, Mover::Callback callback);
  void on_fresh(const PublicKey& key, std::unique_ptr<noise::SecureConnection> fresh);
  /// True when `fresh` only brings a path, which has been taken, or is of no use any more.
  bool take_path(std::unique_ptr<noise::SecureConnection>& fresh);
  void take_direct_path(Link& link, std::unique_ptr<noise::SecureConnection> fresh);
  void take_relayed_path(Link& link, std::unique_ptr<noise::SecureConnection> fresh);
  void on_relayed_move_over(const PublicKey& key, bool moved);
  void escort(std::unique_ptr<noise::SecureConnection> fresh);
  void on_escorts_due();

  void start_listening();

  void on_wakeup() override { network_changed(); }
  void on_network_change() override { network_changed(); }
  void on_health(dht::Health health) override;

  Runtime& runtime_;
  peer::Host& host_;
  SwarmOptions options_;
  std::shared_ptr<DiscoveryHub> hub_;
  std::unique_ptr<peer::Server> server_;
  bool listening_ = false;
  bool closed_ = false;

  std::unordered_map<PublicKey, PeerRecord, ArrayHash> records_;
  Voices voices_;
  std::unordered_map<PublicKey, Link, ArrayHash> links_;
  RelayBook relays_;
  std::unordered_set<PublicKey, ArrayHash> bans_;
  std::deque<PublicKey> ban_order_;
  size_t connecting_ = 0;
  std::vector<Escort> escorts_;
  SwarmStats stats_;
  dht::Health health_ = dht::Health::kOnline;

  size_t closing_ = 0;
  std::function<void()> closed_done_;
  std::vector<std::unique_ptr<noise::SecureConnection>> heirs_;
  Timer retry_;
  Timer slow_timer_;  // the attempt that becomes slow next
  Timer heirs_timer_;
  Timer relay_timer_;
  Timer escorts_timer_;
  Timer close_timer_;
};

}  // namespace hg::swarm
