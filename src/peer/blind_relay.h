// Relaying between two peers that cannot reach each other: both connect to a third one's relay key and show it the same token;
// from then on it hands their packets on, unread (npm blind-relay 1.6; hyperdht 6.34 calls it relayThrough).
//
//   A ── handshake {relayThrough: key R, token} ─▶ B
//   A ── connect(R), pair(initiator, token, A's stream id) ─▶ R ◀─ pair(token, B's stream id), connect(R) ── B
//   A ◀─ pair(id a) ── R ── pair(id b) ─▶ B            A ═ packets for id a ═▶ R ═▶ B, and back
//
// This header holds what other rooms need: how relays are known, and the serving side. One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/endpoint.h"
#include "base/ids.h"
#include "base/udp_socket.h"
#include "udx/bridge.h"

namespace hg::peer {

/// A way to another process that works now: the one an open connection to it uses.
struct DirectPath {
  UdpSocket* socket = nullptr;
  Endpoint remote{};
};

/// What a process knows of relays; asked whenever one is about to be used. Outlives the Host it was given to.
class RelaySource {
 public:
  virtual ~RelaySource() = default;
  /// A way to the process that has this relay key: a handshake on it saves looking the key up and punching again.
  virtual std::optional<DirectPath> path_to(const PublicKey& relay) = 0;
};

struct BlindRelayOptions {
  KeyPair key_pair;  // the relay key
  /// True for members. Every pair has at least one; the other side may be a guest, whoever the member shares the token with. All pairs
  /// with a guest together have a quarter of the pairs and of the rate.
  std::function<bool(const PublicKey&)> admit;
  uint64_t total_rate = 2'500'000;  // bytes a second over all pairs, both directions
  uint64_t pair_rate = 1'250'000;   // the same, of one pair
  size_t max_pairs = 64;
};

struct BlindRelayCounters {
  uint64_t sessions = 0;  // control connections taken
  uint64_t refused = 0;   // pairs without a member, and what is over a bound
  uint64_t malformed = 0;
  uint64_t pairs = 0;  // ever
  udx::BridgeCounters traffic;
};

/// The serving side. Destroying it ends every pair at once.
class BlindRelayServer {
 public:
  virtual ~BlindRelayServer() = default;
  virtual const PublicKey& public_key() const = 0;
  virtual const BlindRelayCounters& counters() const = 0;
  virtual size_t open_sessions() const = 0;
  virtual size_t open_pairs() const = 0;
  /// Runs `callback` once the key can be looked up.
  virtual void on_listening(std::function<void()> callback) = 0;
  /// Takes nobody new, ends every pair and leaves the network politely; `done` comes after a few seconds at the latest.
  virtual void close(std::function<void()> done) = 0;
};

}  // namespace hg::peer
