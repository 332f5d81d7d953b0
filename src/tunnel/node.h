// A member of a router: its sessions, and its gateway and provider roles (either, both, or none to look on).
//
//   swarm ─encrypted connection─▶ add_connection() ─▶ Session ─▶ Gateway / Provider
//
// shutdown(): routes withdrawn and gates closed ─▶ channels may finish (grace; UDP flows are over once quiet) ─▶ channels closed in order
// ─▶ streams ended ─▶ done. Owned by app; the Runtime, keys and connector outlive it. One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tunnel/gateway.h"
#include "tunnel/provider.h"
#include "tunnel/session.h"
#include "tunnel/status.h"

namespace hg::tunnel {

/// What a node tells the app; every callback may be left empty. None is called after the node's destruction.
struct NodeCallbacks {
  /// The swarm must not connect to this peer again.
  std::function<void(const PublicKey& peer, const std::string& why)> ban;
  /// A peer proved that it knows the secret / its connection is gone.
  std::function<void(const PublicKey& peer, bool is_gateway)> peer_ready;
  /// Of a peer that was ready; an error when its connection broke.
  std::function<void(const PublicKey& peer, const std::optional<Error>& error)> peer_lost;
  /// A peer relays for others under this key / no longer.
  std::function<void(const PublicKey& peer, const std::optional<PublicKey>& relay)> relay_learned;
  /// A peer's routes were learned or changed (gateway role).
  std::function<void(const PublicKey& peer)> routes_learned;
};

struct NodeOptions {
  bool gateway = false;
  ServiceConnector* connector = nullptr;  // set: provider role
  GateFilter filter;
  LeadsBack leads_back;
  Limits limits;
};

struct PeerInfo {
  PublicKey key{};
  bool is_gateway = false;
  bool ready = false;
  bool answering = true;  // false: silent, its channels wait
  TimePoint since;
  int64_t clock_skew_ms = 0;  // its clock minus ours
  noise::ConnectionStats stats;
  size_t channels = 0;
  std::vector<Service> offers;  // gateway role
  StatusMessage status;         // after ask_status()
};

class Node final : private SessionEvents {
 public:
  Node(Runtime& runtime, const RouterKeys& router, NodeOptions options, NodeCallbacks callbacks = {});
  ~Node() override;

  /// Takes a connection that the swarm made; the hello goes out at once.
  void add_connection(std::unique_ptr<noise::Connection> connection);

  /// The key under which this process relays for other members (nullopt: it does not); every peer is told.
  void set_relay(const std::optional<PublicKey>& relay);
  /// `peer` has proved that it knows the secret, and its connection is open.
  bool is_member(const PublicKey& peer) const;
  /// Of the peers, those that have.
  size_t member_count() const;

  /// nullptr without the role.
  Gateway* gateway() { return gateway_.get(); }
  Provider* provider() { return provider_.get(); }
  const Gateway* gateway() const { return gateway_.get(); }
  const Provider* provider() const { return provider_.get(); }
  const Counters& counters() const { return counters_; }
  Counters& counters() { return counters_; }
  const Limits& limits() const { return limits_; }
  std::vector<PeerInfo> peers() const;
  /// The same without their offers and status: quick where there are many.
  std::vector<PeerInfo> peer_figures() const;
  /// Asks a ready peer for its status; routes_learned tells of the answer.
  void ask_status(const PublicKey& peer);
  /// See Session::probe(). False when there is no such member, or it cannot.
  bool probe(const PublicKey& peer, uint32_t bytes, PathProbe::Done done);
  /// Channels of all sessions, those being opened included.
  size_t channel_count() const;

  /// Leaves in order; `done` is called once, later. A second call shortens the grace to its own.
  void shutdown(Duration grace, std::function<void()> done);

 private:
  void on_session_ready(Session& session) override;
  void on_session_ban(Session& session, const std::string& why) override;
  void on_session_routes(Session& session, ByteView json) override;
  void on_session_open_request(Session& session, std::unique_ptr<Channel> channel, const OpenBody& request) override;
  void on_session_stray_error(Session& session, const std::string& text) override;
  void on_session_closed(Session& session, const std::optional<Error>& error) override;
  void on_session_channel_released(Session& session) override;
  void on_session_room(Session& session) override;
  void on_session_answering(Session& session, bool answering) override;

  void handle_status(Session& session, StatusMessage status);

  void bound_greetings(const Session& newest);

  enum class Phase { kRunning, kGrace, kEnding, kDone };
  void learn_features(Session& session, ByteView json);
  void tick();
  void send_notice(Session& session);
  void close_sessions();
  void advance_shutdown();
  void wait_for_channels();

  const Limits limits_;
  Counters counters_;
  uint32_t last_channel_id_ = 0;
  RareNotice notices_;
  const RouterKeys& router_;
  Context context_;
  HelloVerifier verifier_;
  NodeCallbacks callbacks_;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<Provider> provider_;
  std::optional<PublicKey> relay_;
  std::unordered_map<Session*, std::unique_ptr<Session>> sessions_;
  std::unordered_map<PublicKey, StatusMessage, ArrayHash> statuses_;  // of peers that were asked
  std::unordered_map<PublicKey, TimePoint, ArrayHash> answered_;      // when each peer was last told ours
  std::vector<std::unique_ptr<Session>> gone_;                        // destroyed in the next task
  bool destroyed_ = false;
  int64_t last_hello_ms_ = 0;  // hellos of one process never share a time: equal ones would look replayed
  Timer tick_timer_;
  Timer shutdown_timer_;
  TimePoint grace_ends_{};
  Phase phase_ = Phase::kRunning;
  std::function<void()> shutdown_done_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hg::tunnel
