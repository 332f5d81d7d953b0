// Which of the peers we are connected to relay, under which key, and which of them to go through.
//
//   set(peer, relay key) ─▶ choose(target, tries): the nearest first, the next one after each failure, at most kMaxTried of them
//
// Neighbours in our own network come last: what keeps us from the target most likely keeps it from them, too.
// Entries go with the connection they were learned on. Plain data, owned by the swarm. At most one entry per connection.
#pragma once

#include <optional>
#include <unordered_map>

#include "base/ids.h"
#include "base/runtime.h"
#include "noise/secure_connection.h"

namespace hg::swarm {

class RelayBook {
 public:
  static constexpr size_t kMaxTried = 4;
  static constexpr int kHostBits = 8;  // of an address: what homes and offices have

  explicit RelayBook(UdpNetwork& network) : network_(network) {}

  /// True when `peer` relays under a key that was not known of it before.
  bool set(const PublicKey& peer, noise::SecureConnection* connection, const std::optional<PublicKey>& relay);
  void forget(const PublicKey& peer) { entries_.erase(peer); }
  void clear() { entries_.clear(); }
  /// A relay on the way to `target` that is somebody else and to which a direct path runs; nullopt: none. `doubtful`, or silent:
  /// only if there is no other.
  std::optional<PublicKey> choose(const PublicKey& target, size_t tries, const std::optional<PublicKey>& doubtful = {}) const;
  /// The open connection to the process that relays under `relay`.
  noise::SecureConnection* connection_to(const PublicKey& relay) const;

 private:
  struct Entry {
    PublicKey relay{};
    noise::SecureConnection* connection = nullptr;
    bool usable() const { return !connection->closed() && !connection->relayed(); }
  };
  UdpNetwork& network_;
  std::unordered_map<PublicKey, Entry, ArrayHash> entries_;  // by the peer's own key
};

}  // namespace hg::swarm
