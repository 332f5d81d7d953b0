// listen(key) and connect(key): encrypted connections to Ed25519 keys over the DHT.
//
//   connect: FIND_PEER ─▶ handshake through a node ─▶ direct │ open │ LAN │ punch ─▶ UDX stream ─▶ SecureConnection
//   listen:  announce at the 3 closest nodes ─▶ handshakes arrive ─▶ same, passively
//   relay:   handshakes and punches of others are passed on (hyperdht lib/router); whole connections, see blind_relay.h
//
// A Host wires one dht::Node's sockets to one udx::Mux and owns the sockets made for punching. Both
// outlive it; it must be destroyed after every Server, attempt and connection made through it. One
// thread. Only proven connections are handed out: the other side's encrypted header has arrived and
// verified. Every attempt has a deadline, every table a bound. Source: npm hyperdht 6.34.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/expected.h"
#include "base/ids.h"
#include "base/runtime.h"
#include "noise/secure_connection.h"
#include "peer/blind_relay.h"
#include "wire/hyperdht.h"

namespace hg::dht {
class Node;
}
namespace hg::udx {
class Mux;
}

namespace hg::peer {

using OnConnection = std::function<void(std::unique_ptr<noise::SecureConnection>)>;
/// Whether a connection may run through a relay.
enum class Relaying {
  kNever,
  kFallback,  // when no direct path is found soon; at once where both NATs are known to be hopeless
  kFirst,     // a direct path was tried before, in vain
};
/// True refuses the peer: it gets no answer at all. `payload` is what it sent in its first message.
using Firewall = std::function<bool(const PublicKey& remote, const wire::NoisePayload& payload, const Endpoint& address)>;

/// A connection we have with `remote` that may go on over another path: our UDX stream of it; nullopt when there is none of that name.
using FindSession = std::function<std::optional<uint32_t>(const PublicKey& remote, const Hash32& session)>;

struct ListenOptions {
  Firewall firewall;
  OnConnection on_connection;
  FindSession find_session{};  // empty: peers cannot bring new paths for old connections
  bool share_local_addresses = true;
  /// A relay key to offer to a client that offers none itself.
  std::function<std::optional<PublicKey>(const PublicKey& client)> relay_through;
  /// The nodes at which the key was announced have all started over: what else was announced in the DHT is probably gone as well.
  std::function<void()> on_forgotten{};
};

struct ConnectOptions {
  KeyPair key_pair;
  std::vector<Endpoint> relay_addresses;  // nodes that may know the peer, from a lookup
  bool local_connection = true;           // offer and try addresses of the local network
  Relaying relaying = Relaying::kFallback;
  std::optional<PublicKey> relay_through{};  // a relay key to offer
  std::optional<DirectPath> via{};           // a way to the peer's process that works: tried before anything is looked up
  /// Set: the connection is to bring a path for this older one. Its continuation() tells whether the peer still has that; only peers of
  /// ours that said so may be asked.
  std::optional<wire::MoveInfo> move{};
};

/// A key being listened on. Destroying it stops listening without telling the network; close() tells it.
class Server {
 public:
  virtual ~Server() = default;
  virtual const PublicKey& public_key() const = 0;
  /// Nodes through which the key can be reached now (at most 3), to be announced with a topic.
  virtual std::vector<Endpoint> relay_addresses() const = 0;
  /// Runs `callback` once, after the first announce has finished (at once by post() if it has).
  virtual void on_listening(std::function<void()> callback) = 0;
  /// Announces anew as soon as possible.
  virtual void refresh() = 0;
  /// Refuses new handshakes, unannounces, then calls `done` (after a few seconds at the latest).
  virtual void close(std::function<void()> done) = 0;
};

/// A connect under way; destroying it cancels without a callback.
class Attempt {
 public:
  virtual ~Attempt() = default;
  enum class Stage {
    kSearching,
    kReached,  // the peer answered the handshake
    kProving,  // a path was found; the peer may count on it already
  };
  virtual Stage stage() const = 0;
  /// Proving, and the peer was heard on that path: not so where it says it is open, and is written to at its address.
  virtual bool heard() const = 0;
};

/// A connection that is being moved onto a relay; destroying it gives up without a callback.
class RelayedMove {
 public:
  virtual ~RelayedMove() = default;
};

struct HostCounters {
  uint64_t handshakes_received = 0;
  uint64_t handshakes_refused = 0;  // undecodable, forged, firewalled or over a limit
  uint64_t handshakes_relayed = 0;
  uint64_t punches_relayed = 0;
  uint64_t punches_consistent = 0;
  uint64_t punches_random = 0;
  uint64_t connects = 0;
  uint64_t connects_failed = 0;
  uint64_t relayed = 0;  // connections that came about through a relay
};

class HostImpl;

class Host {
 public:
  Host(Runtime& runtime, dht::Node& node, udx::Mux& mux);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  /// KEYPAIR_ALREADY_USED when this Host listens on the key already.
  Expected<std::unique_ptr<Server>> listen(const KeyPair& key_pair, ListenOptions options);
  /// Calls back exactly once (never from inside this call) unless the attempt is destroyed before. Error codes are hyperdht's names.
  std::unique_ptr<Attempt> connect(const PublicKey& remote, ConnectOptions options,
                                   std::function<void(Expected<std::unique_ptr<noise::SecureConnection>>)> callback);

  /// Moves `old` onto the relay that `fresh` runs through: its stream is paired there as well, under the token of fresh's continuation(),
  /// as the peer does at the same time. Calls back once, never from inside this call; false: no pair came about in some seconds, and `old`
  /// is where it was. `key_pair` is that of both connections; `old` outlives what is returned.
  std::unique_ptr<RelayedMove> move_onto_relay(const KeyPair& key_pair, noise::SecureConnection& old, const noise::SecureConnection& fresh,
                                               std::function<void(bool moved)> done);

  /// What this process knows of relays (nullptr: nothing). Must outlive the Host or be taken back.
  void set_relays(RelaySource* relays);
  /// Serves as a blind relay under a key of its own; errors as listen().
  Expected<std::unique_ptr<BlindRelayServer>> serve_relay(BlindRelayOptions options);

  dht::Node& node();
  const HostCounters& counters() const;

 private:
  std::unique_ptr<HostImpl> impl_;
};

}  // namespace hg::peer
