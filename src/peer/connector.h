// One connect(key): finds the key, shakes hands through a node, finds a path, proves it.
//
//   FIND_PEER ─▶ candidates ─┐                              ┌─ direct reply ───────────────┐
//   known relays ────────────┴▶ handshake (≤ 3 at once) ─▶ │  peer OPEN / nothing to punch │
//                                first one wins             │  own OPEN: wait for the peer  ├▶ raw stream ─▶ Proof ─▶ callback
//   a UDX packet that comes first from anywhere decides ─▶ │  same NAT: ping on the LAN    │
//                                                           └─ punch rounds (connector_punch.cc)
//   beside all these, if either side offered a relay: at once or after kRelayAfter, through it (connector_relay.cc)
//
// A reply that cannot be verified is ignored, not fatal. The whole has a deadline. Owned by the caller of
// Host::connect(); destroying it is silent. The callback runs from a timer and may destroy it. Source:
// hyperdht 6.34 lib/connect.
#pragma once

#include <deque>
#include <set>

#include "dht/operations.h"
#include "noise/handshake.h"
#include "peer/blind_relay_client.h"
#include "peer/context.h"
#include "peer/proof.h"
#include "peer/puncher.h"
#include "peer/secure_payload.h"
#include "peer/stream_gate.h"

namespace hg::peer {

class Connector final : public Attempt {
 public:
  using Callback = std::function<void(Expected<std::unique_ptr<noise::SecureConnection>>)>;
  static constexpr Duration kDeadline = 60s;     // a random punch alone takes 35 s
  static constexpr Duration kPassiveWait = 10s;  // hyperdht: for the peer's first packet when we are OPEN
  static constexpr Duration kRelayAfter = 3s;    // a punch that works at once is over by then; the relay is not troubled for it
  static constexpr Duration kViaWait = 1s;       // for an answer on a path that worked a moment ago
  static constexpr size_t kParallel = 2;         // handshakes; one more beside known relays
  static constexpr size_t kMaxCandidates = 64;

  Connector(Context& context, const PublicKey& remote, ConnectOptions options, Callback callback);
  ~Connector() override;

  Stage stage() const override { return path_found() ? Stage::kProving : reached_ ? Stage::kReached : Stage::kSearching; }
  bool heard() const override { return path_found() && !assumed_path_; }

 private:
  struct Reached {
    bool relayed = false;
    Endpoint relay;           // the node that answered our handshake
    Endpoint client_address;  // ourselves as that node sees us
    Endpoint server_address;  // the peer as that node sees it
    wire::NoisePayload payload;
  };
  struct EarlyPacket {
    UdpSocket* socket = nullptr;
    Endpoint from;
    std::shared_ptr<PunchSocket> owner;  // it may be another attempt's socket
  };
  struct PunchReply {
    wire::HolepunchPayload payload;
    Endpoint peer_address;
    Endpoint from;
    Endpoint to;
  };
  using PunchCallback = std::function<void(const PunchReply&)>;

  // Finding the peer and shaking hands (connector.cc).
  bool write_first_message();
  void find();
  void try_via();
  void start_query(std::vector<Endpoint> nodes);
  void try_next_relay();
  void try_candidates();
  void shake_hands(const Endpoint& node, std::function<void()> over, UdpSocket* socket = nullptr);
  void on_handshake_reply(const Endpoint& node, const dht::Response& response);
  void check_exhausted();
  void fail(Error error);
  void finish();

  // Choosing a path.
  void on_first_packet(UdpSocket& socket, const Endpoint& from);
  void choose_path(UdpSocket* replied_on);
  void try_local_network();
  void connect_path(UdpSocket& socket, const Endpoint& to);
  void run_on(UdpSocket& socket, const Endpoint& to, uint32_t id, std::shared_ptr<void> attachment);
  void path_failed(Error error);
  bool path_found() const { return raw_ == nullptr; }
  bool done() const { return finished_ || path_found(); }

  // Relaying (connector_relay.cc).
  void plan_relay();
  void start_relay();
  void drop_relay();
  void on_relay(Expected<BlindRelayClient::Paired> paired);
  bool relay_pending() const { return relay_ != nullptr || relay_timer_.armed(); }

  // Punching (connector_punch.cc).
  void begin_punching();
  void probe_round(bool retry);
  void on_probe_reply(const PunchReply& reply, bool retry);
  void after_analysis(bool retry);
  void punch_round();
  void punch_when_free();
  void on_punch_reply();
  void send_round(const Endpoint& peer_address, const Endpoint& relay, wire::HolepunchPayload payload, PunchCallback callback);
  void abort_punching(Error error);
  void send_abort();
  void punch_failed(Error error);
  wire::HolepunchPayload round_payload();

  Context& context_;
  PublicKey remote_;
  Hash32 target_;
  ConnectOptions options_;
  Callback callback_;

  std::optional<noise::IkHandshake> handshake_;
  Bytes message1_;
  wire::Firewall own_firewall_ = wire::kFirewallUnknown;
  std::unique_ptr<udx::Stream> raw_;
  std::shared_ptr<StreamGate> gate_;
  std::optional<EarlyPacket> early_packet_;  // before the handshake was over

  dht::QueryHandle query_;
  bool query_over_ = false;
  bool query_again_ = false;
  std::deque<Endpoint> known_relays_;
  std::deque<Endpoint> candidates_;
  std::set<Endpoint> tried_;
  std::vector<Endpoint> answered_by_;       // for the relay cache
  std::shared_ptr<PunchSocket> via_owner_;  // outlives requests_: those over its socket would fail when it goes
  std::vector<dht::RequestHandle> requests_;
  size_t running_ = 0;
  size_t parallel_ = kParallel;
  size_t attempts_ = 0;
  bool trying_relays_ = false;
  bool finding_ = false;

  std::optional<Reached> reached_;
  noise::SessionKeys keys_;
  bool assumed_path_ = false;
  std::unique_ptr<Proof> proof_;

  std::optional<SecurePayload> secure_;
  std::unique_ptr<Puncher> puncher_;
  dht::RequestHandle lan_ping_;
  bool lan_pending_ = false;
  std::optional<Error> held_error_;  // of punching, while the LAN or a relay may still succeed
  dht::RequestHandle punch_request_;
  wire::RelayInfo server_relay_;
  Endpoint server_address_;
  uint64_t round_ = 0;
  std::optional<Hash32> remote_token_;
  Endpoint reported_address_;  // of the peer, by the last probe round
  std::function<void()> after_pause_;
  bool holding_random_ = false;
  bool asked_to_punch_ = false;  // the server punches until a path is found or we call it off
  int busy_pauses_ = 0;

  ByteArray<32> relay_token_{};
  std::optional<BlindRelayClient::Setup> relay_setup_;
  std::shared_ptr<BlindRelayClient> relay_;

  bool finished_ = false;
  std::optional<Error> error_;
  std::unique_ptr<noise::SecureConnection> connection_;
  Timer deadline_;
  Timer finish_;
  Timer pause_;
  Timer find_timer_;
  Timer relay_timer_;
};

}  // namespace hg::peer
