// What the parts of a Host share: the node, the mux, punch sockets, and process-wide limits.
//
// Owned by HostImpl; outlives servers and attempts. One thread.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>

#include "base/runtime.h"
#include "dht/node.h"
#include "peer/host.h"
#include "peer/punch_socket.h"
#include "udx/udx.h"

namespace hg::peer {

/// At most one random punch at a time, and a pause after each as long as it took, up to kInterval: it is a burst of up to 1750
/// datagrams (hyperdht 6.34, which always pauses for kInterval). One that found its path is over early, and others may be waiting for
/// theirs (three members start at once, one relays for the other two): a quarter of that pause.
///
/// A connector holds a claim while its punch message is under way. Of two peers that reach this point with each other at the same
/// moment, the one with the smaller key gives its claim up, or each would refuse the other.
class RandomPunchGuard {
 public:
  static constexpr Duration kInterval = 20s;

  bool free(TimePoint now) const { return !running_ && !claim_ && now >= paused_until_; }
  void begin(TimePoint now) {
    running_ = true;
    began_ = now;
  }
  void end(TimePoint now, bool path_found) {
    running_ = false;
    const Duration took = now - began_;
    paused_until_ = now + (path_found ? took / 4 : std::min(kInterval, took));
  }

  /// `give_up` must release().
  void claim(const PublicKey& own, const PublicKey& peer, std::function<void()> give_up) { claim_ = Claim{own, peer, std::move(give_up)}; }
  void release() { claim_.reset(); }
  /// `peer` asks us to punch: a claim of ours for a punch to the same peer gives way if that one's key is larger.
  void give_way_to(const PublicKey& peer) {
    if (!claim_ || claim_->peer != peer || peer < claim_->own) return;
    const auto give_up = claim_->give_up;
    give_up();
  }

 private:
  struct Claim {
    PublicKey own;
    PublicKey peer;
    std::function<void()> give_up;
  };
  bool running_ = false;
  TimePoint began_{};
  TimePoint paused_until_{};
  std::optional<Claim> claim_;
};

/// Nodes through which a key was reached before; the oldest is forgotten beyond kMax.
class RelayCache {
 public:
  static constexpr size_t kMax = 512;

  void set(const PublicKey& key, std::vector<Endpoint> nodes);
  std::vector<Endpoint> get(const PublicKey& key) const;

 private:
  std::unordered_map<PublicKey, std::vector<Endpoint>, ArrayHash> entries_;
  std::deque<PublicKey> order_;
};

struct Context {
  Context(Runtime& r, dht::Node& n, udx::Mux& m) : runtime(r), node(n), mux(m), punch_sockets(r, n, m) {}

  Runtime& runtime;
  dht::Node& node;
  udx::Mux& mux;
  PunchSockets punch_sockets;
  RandomPunchGuard random_punches;
  RelayCache relay_cache;
  RelaySource* relays = nullptr;
  HostCounters counters;

  /// Addresses of our interfaces with the server socket's port; loopback only when there is nothing else.
  std::vector<Endpoint> local_addresses() const;
  /// Every peer sees us at another port: nobody else's random port can be met.
  bool randomized() const {
    const auto seen_as = node.external_address();
    return seen_as && seen_as->port == 0;
  }
  TimePoint now() const { return runtime.now(); }
};

}  // namespace hg::peer
