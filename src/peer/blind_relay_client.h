// One side's way through a relay: connects to the relay key, pairs a stream under a token, and keeps the control connection as
// long as the stream runs through it.
//
//   new ─▶ connecting ─▶ pairing ─ pair from the relay ─▶ done(Paired) ─▶ holding ─ connection gone ─▶ on_lost
//             └──────────────┴── refused, kMaxTries, kTimeout ─▶ done(error)
//
// While it connects it watches for a path of an open connection to the relay's process (RelaySource): where both sides have just come
// up, one of them may offer a relay that the other is only about to know.
//
// `done` comes once, from a timer, and may destroy the client; so may on_lost. Owned by an attempt or a server slot while it
// pairs, then by the connection that runs through the relay. Source: hyperdht 6.34 lib/connect (relayConnection), blind-relay 1.6.
#pragma once

#include "noise/secure_connection.h"
#include "peer/blind_relay_channel.h"
#include "peer/context.h"

namespace hg::peer {

class BlindRelayClient final : private ByteStreamHandler {
 public:
  static constexpr Duration kTimeout = 15s;  // hyperdht 6.34
  static constexpr Duration kLook = 250ms;   // for a path
  static constexpr Duration kTryAgain = 2s;
  static constexpr int kMaxTries = 4;
  // How long a connection that has lost its path waits for a direct one, in place of kRelayAfter: relayed, it goes on looking.
  static constexpr Duration kMoveAfter = 1s;

  struct Setup {
    KeyPair key_pair;
    PublicKey relay{};
    ByteArray<32> token{};
    bool is_initiator = false;  // who offered the relay
    uint32_t stream_id = 0;     // of our end of the stream that is to be relayed
  };
  struct Paired {
    UdpSocket* socket = nullptr;
    Endpoint remote{};
    uint32_t id = 0;  // what the relay calls our end
  };
  using Done = std::function<void(Expected<Paired>)>;

  BlindRelayClient(Context& context, const Setup& setup, Done done);
  ~BlindRelayClient() override;

  /// `connection` runs through `client`, which it holds as its attachment: it is marked, and when the relay is lost it looks for
  /// another path, or is destroyed if it cannot move.
  static void attach(const std::shared_ptr<BlindRelayClient>& client, noise::SecureConnection& connection);

  /// Whether a packet that came like this came through the relay.
  bool is_relay(const UdpSocket& socket, const Endpoint& from) const;

 private:
  void connect();
  void look();
  void on_connected(Expected<std::unique_ptr<noise::SecureConnection>> result);
  void on_pair(const wire::Pair& pair);
  void settle(Expected<Paired> result);
  void on_settled();

  void on_data(ByteView frame) override;
  void on_close(const std::optional<Error>& error) override;

  Context& context_;
  Setup setup_;
  Done done_;
  std::function<void()> on_lost_;
  std::unique_ptr<Attempt> attempt_;
  bool via_path_ = false;  // what attempt_ uses
  bool attempt_over_ = false;
  int tries_ = 0;
  TimePoint tried_at_{};
  Error failure_{"RELAY_ABORTED", "the relay cannot be reached"};
  std::unique_ptr<noise::SecureConnection> control_;
  std::optional<BlindRelayChannel> channel_;
  std::optional<Expected<Paired>> result_;
  Timer timer_;  // gives up, then delivers `done`
  Timer look_;
  Timer lost_;
};

}  // namespace hg::peer
