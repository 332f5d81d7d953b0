// A key being listened on: answers handshakes and punch messages, and makes connections of them.
//
//   handshake ─ dedup ─ decode ─ firewall (silent) ─▶ slot ─┬─ direct or the client is OPEN: connect now
//                                                            ├─ same NAT: reply, wait for the client on the LAN
//                                                            ├─ we are OPEN: reply, wait for the client's packet
//                                                            └─ else: reply from a punch socket, then punch rounds
//                                  (beside the last three, through a relay if one was offered: server_relay.cc)
//   first UDX packet │ connect now ─▶ SecureConnection ─▶ Proof ─▶ on_connection
//
// A slot answers repeated copies of its handshake (they come through several relays) with the same reply
// and is cleared 10 s after its end, or when another needs its place. Bounds: slots and new handshakes a
// second, in all and by host: whoever sent to a relay we announced at, on its word, else to us. Hosts share
// both alike: one that holds few finds room at the cost of one that holds many.
// Owned by whoever called Host::listen(). Source: hyperdht 6.34 lib/server.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>

#include "noise/handshake.h"
#include "peer/announcer.h"
#include "peer/blind_relay_client.h"
#include "peer/handshake_rate.h"
#include "peer/host.h"
#include "peer/proof.h"
#include "peer/puncher.h"
#include "peer/secure_payload.h"
#include "wire/hyperdht.h"

namespace hg::peer {

class ServerRegistry;

/// An answer to a routed message: its bytes, and the socket it must leave from (null: the one the message came in on).
struct RoutedReply {
  Bytes bytes;
  std::shared_ptr<PunchSocket> from;
  bool from_node_socket = false;  // overrides `from`: the node's current socket
};

class ServerImpl final : public Server {
 public:
  static constexpr size_t kMaxSlots = 256;             // of clients our relays speak for, and as many of others
  static constexpr uint32_t kMaxPerHost = 32;          // slots, and new handshakes a second
  static constexpr uint32_t kMaxPerPrivateHost = 256;  // a network of ours may have many members on one machine
  static constexpr size_t kMaxHeardPerHost = 8;        // slots that no other host can have once the client was heard
  static constexpr size_t kMaxSeen = 4096;             // handshakes remembered, refused ones included
  static constexpr Duration kWait = 10s;               // for the client, after our reply
  static constexpr Duration kClearAfter = 10s;         // hyperdht HANDSHAKE_CLEAR_WAIT
  static constexpr Duration kPunchDeadline = 60s;
  static constexpr Duration kRelayAfter = 1500ms;  // less than the client's: it may have tried everything else already
  static constexpr size_t kMaxRelayed = 32;        // slots that go through a relay at a time
  static constexpr size_t kMaxRelayedPerHost = 8;  // of these; of a private host all

  ServerImpl(Context& context, ServerRegistry& registry, const KeyPair& key_pair, ListenOptions options);
  ~ServerImpl() override;

  const PublicKey& public_key() const override { return key_pair_.public_key; }
  std::vector<Endpoint> relay_addresses() const override { return announcer_.relay_addresses(); }
  void on_listening(std::function<void()> callback) override;
  void refresh() override { announcer_.refresh(); }
  void close(std::function<void()> done) override;

  const Hash32& target() const { return target_; }
  bool closed() const { return closed_; }
  /// Noise message 2 for a handshake that arrived in `request`; nullopt: stay silent.
  std::optional<RoutedReply> on_handshake(const wire::Handshake& message, const dht::IncomingRequest& request);
  /// Calls `reply` at most once, now or later, with the sealed payload.
  void on_holepunch(const wire::Holepunch& message, const dht::IncomingRequest& request, std::function<void(RoutedReply)> reply);

 private:
  struct Slot;
  /// Whom a handshake is charged to. Anybody can name any client; a relay we announced at sees who sends to it.
  struct Origin {
    uint32_t host = 0;
    bool vouched = false;  // by such a relay
  };

  Origin origin_of(const wire::Handshake& message, const dht::IncomingRequest& request) const;
  bool admit(const Origin& origin);
  bool make_room(const Origin& origin, size_t most_of_host);
  Slot* add_slot(const Hash32& key, const Endpoint& client, const Origin& origin);
  void clear_slot(size_t id);
  void remember(const Hash32& key);
  std::optional<RoutedReply> open_slot(const Hash32& key, const wire::Handshake& message, const dht::IncomingRequest& request);
  void offer_relay(Slot& slot, const PublicKey& client, const std::optional<wire::RelayThrough>& theirs);
  void plan_relay(Slot& slot, bool at_once);
  void start_relay(Slot& slot);
  void on_relay(Slot& slot, Expected<BlindRelayClient::Paired> paired);
  void run_on(Slot& slot, UdpSocket& socket, const Endpoint& to, uint32_t id, std::shared_ptr<void> attachment);
  void path_failed(Slot& slot);
  std::optional<RoutedReply> answer(Slot& slot, noise::IkHandshake& handshake, const wire::NoisePayload& theirs, uint64_t error,
                                    const dht::IncomingRequest& request, bool direct);
  wire::NoisePayload our_payload(const Slot& slot, uint64_t error) const;
  bool same_network(const wire::NoisePayload& theirs, const Endpoint& client, const Endpoint& seen_as) const;
  bool start_puncher(Slot& slot, uint64_t client_firewall);
  void on_path(Slot& slot, UdpSocket& socket, const Endpoint& from);
  void on_proven(Slot& slot, Expected<std::unique_ptr<noise::SecureConnection>> connection);
  void on_slot_timer(Slot& slot);
  void give_up(Slot& slot);
  RoutedReply sealed(Slot& slot, uint64_t error, const std::optional<Hash32>& token, const std::optional<Hash32>& their_token);
  RoutedReply aborted(Slot& slot, uint64_t error = wire::kErrorAborted);
  void on_analyzed(size_t id, const Slot* expected, const wire::HolepunchPayload& payload, const Endpoint& client, bool via_our_relay,
                   bool stable, const std::function<void(RoutedReply)>& reply);
  void answer_punch(Slot& slot, const wire::HolepunchPayload& payload, const Endpoint& client, bool via_our_relay,
                    const std::function<void(RoutedReply)>& reply);

  Context& context_;
  ServerRegistry& registry_;
  KeyPair key_pair_;
  Hash32 target_;
  ListenOptions options_;
  Announcer announcer_;
  bool listening_ = false;
  bool closed_ = false;
  std::vector<std::function<void()>> on_listening_;
  std::vector<std::unique_ptr<Slot>> slots_;            // index = id in holepunch messages
  std::unordered_map<Hash32, size_t, ArrayHash> seen_;  // handshake → slot, or kRefused
  std::deque<Hash32> seen_order_;
  HandshakeRate vouched_rate_;
  HandshakeRate rate_;  // of the others
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace hg::peer
