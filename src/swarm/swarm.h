// Who we are connected to: topics, discovery of peers, retries, and one connection per key.
//
//   join(topic) ─▶ announce + lookup ─▶ peers ─▶ queue (priority) ─▶ connect ─▶ on_connection
//                                        ▲                             │
//                                        └── back-off, never given up ◀┘
//   listen(key) ─▶ incoming ─▶ duplicate verdict ─▶ on_connection
//
// The connection belongs to whoever receives it; the swarm keeps watching it until it closes and may
// destroy() it (duplicate replaced by a newer one, ban). Only proven connections are handed out: the
// remote header has arrived and verified. The receiver calls set_handler() inside on_connection or
// later (nothing is lost meanwhile) and must let go of the connection after its on_close.
//
// Whoever knows a topic can connect: the receiver says by confirm() who belongs here.
//
// A connection on which both ends allow_moves() outlives its path: the swarm finds it another one.
//
// Owned by app; Host and Runtime outlive it. One thread. Behaviour: npm hyperswarm 4.17 (its rules for
// duplicates exactly, its retry rules without ever giving up).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/runtime.h"
#include "noise/connection.h"

namespace hg::peer {
class Host;
}

namespace hg::swarm {

struct PeerInfo {
  PublicKey key{};
  std::vector<Topic> topics;  // in which a lookup found it; empty when it came to us first
  bool client = false;        // we connected to it; false: it connected to us
};

struct SwarmOptions {
  KeyPair key_pair;
  /// Confirmed connections and those being made; twice as many may come to us. Members that are left out never learn each other's routes,
  /// and an idle connection costs about 10 KB. (hyperswarm 4.17: 64, and any number may come.)
  size_t max_peers = 512;
  size_t max_parallel = 3;  // connects at a time (hyperswarm 4.17), not counting those that take long
  /// True refuses the key, in both directions; a refused server handshake is never answered.
  std::function<bool(const PublicKey&)> firewall;
};

struct JoinOptions {
  bool server = true;  // announce ourselves
  bool client = true;  // look others up and connect to them
};

struct SwarmStats {
  size_t connections = 0;  // open
  size_t connecting = 0;
  size_t known_peers = 0;
  uint64_t attempts = 0;
  uint64_t failures = 0;
  uint64_t duplicates = 0;
  uint64_t moves = 0;  // connections that went on over the path of a fresh one
  uint64_t banned = 0;
  uint64_t relayed = 0;  // connections that came about through a relay
};

class DiscoveryHub;

/// One interest in a topic. Destroying the handle gives it up; the topic is left (unannounced) with its last handle.
class Discovery {
 public:
  ~Discovery();
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;

  const Topic& topic() const { return topic_; }
  /// Looks up and announces now; joins a round that is under way.
  void refresh();
  /// Calls back once, after the round under way (or the next one) has finished, announce included.
  void flushed(std::function<void()> callback);

 private:
  friend class DiscoveryHub;
  Discovery(std::weak_ptr<DiscoveryHub> hub, const Topic& topic, JoinOptions options)
      : hub_(std::move(hub)), topic_(topic), options_(options) {}

  std::weak_ptr<DiscoveryHub> hub_;
  Topic topic_;
  JoinOptions options_;
};

class Swarm {
 public:
  using OnConnection = std::function<void(std::unique_ptr<noise::Connection>, const PeerInfo&)>;

  Swarm(Runtime& runtime, peer::Host& host, SwarmOptions options);
  /// Silent: no callback runs any more. Connections that were handed out live on. Call close() before for a polite leave.
  ~Swarm();
  Swarm(const Swarm&) = delete;
  Swarm& operator=(const Swarm&) = delete;

  void set_on_connection(OnConnection callback);
  std::unique_ptr<Discovery> join(const Topic& topic, JoinOptions options = {});
  /// Destroys the connection to `key`, if any, and refuses the key from now on, in both directions. Bounded: the oldest ban is forgotten
  /// beyond 4096.
  void ban(const PublicKey& key);
  bool banned(const PublicKey& key) const;
  /// The peer at the other end of the connection to `key` has shown that it is one of us. Until then a connection counts for nothing: only
  /// 32 such are kept in each direction, of those that came to us 8 per public address; beyond that the oldest is destroyed.
  void confirm(const PublicKey& key);

  /// `peer`, to whom we are connected, relays under the key `relay` (nullopt: no longer). Peers that could not be reached directly are
  /// tried again through it at once.
  void set_relay(const PublicKey& peer, const std::optional<PublicKey>& relay);

  const PublicKey& public_key() const;
  SwarmStats stats() const;

  /// Refreshes every topic and tests every connection now (the network changed, the machine woke up).
  void network_changed();
  /// Leaves every topic, stops listening, destroys every connection; `done` runs when that has been told to the network (at most a few
  /// seconds).
  void close(std::function<void()> done);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hg::swarm
