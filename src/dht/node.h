// A node of the Hyperswarm DHT: dht-rpc's Kademlia with hyperdht's storage role (npm dht-rpc 6.27, hyperdht 6.34).
//
//            on_datagram                                       ┌─ internal commands (answered here)
//   socket ─ filter (UDX)? ─ 1 byte? ─ dht-rpc? ─ request ─────┤─ set_command_handler() (handshake, hole punch)
//   server │                probe handler        │             └─ storage role, while persistent
//   client │                                     └ response ── the request that waits for it (Rpc)
//
//   start ─ bootstrap query for own id ─ quick firewall test ─ ready ─┬─ tick 5 s: pings, refresh, health
//                ▲    nobody answers: retried with back-off           └─ stable 20 min and reachable: persistent
//                └──────────── table empty again ◄────────────────────┘
//
// Two sockets: requests leave the client socket while we count as firewalled, else the server socket.
// Ephemeral nodes answer the internal commands and what has a handler; persistent ones have an id, live
// in other tables and store records. Ownership: the node owns its sockets, table and storage; queries
// belong to whoever started them and must go before the node. One thread, that of the Runtime.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/runtime.h"
#include "dht/message.h"
#include "dht/routing_table.h"

namespace hg::dht {

class Bootstrap;
class HealthMonitor;
class NatSampler;
class Query;
class Rpc;
class Storage;

/// hyperdht lib/constants: host:port, or ip@host:port (the ip is tried first, then the name).
std::vector<std::string> default_bootstrap();

struct NodeOptions {
  enum class Ephemeral {
    kAdaptive,  // ephemeral until 20 min stable and reachable
    kNever,     // persistent as soon as our address is known (`hypergate dht`, testnets)
    kAlways,
  };

  std::vector<std::string> bootstrap = default_bootstrap();
  uint32_t bind_host = 0;   // host byte order; 0: all interfaces
  uint16_t port = 49737;    // server socket; 0: any
  uint16_t port_range = 5;  // ports tried from `port` on
  bool any_port = true;     // when those are taken; else start() fails
  Ephemeral ephemeral = Ephemeral::kAdaptive;
  bool firewalled = true;      // initial belief
  bool quick_firewall = true;  // one firewall test right after bootstrap when a first probe got through
  /// Our public address where it is known: what a bootstrap node needs, having nobody to ask.
  std::optional<uint32_t> host{};
  size_t concurrency = 10;     // of queries
  size_t max_records = 65536;  // storage role: announced records and routes
};

enum class Health { kOnline, kDegraded, kOffline };

/// What upper rooms may want to know. All methods run on the node's thread; a listener may remove itself.
class NodeListener {
 public:
  virtual ~NodeListener() = default;
  /// The first bootstrap attempt is over (successful or not: see Node::health()).
  virtual void on_ready() {}
  virtual void on_persistent() {}
  virtual void on_ephemeral() {}
  /// We slept (laptop lid): addresses, NAT mappings and peers may all be stale.
  virtual void on_wakeup() {}
  /// Interface addresses changed.
  virtual void on_network_change() {}
  /// online/degraded/offline edges; kOnline after kOffline: re-announce.
  virtual void on_health(Health) {}
  /// External host or port as others see it changed.
  virtual void on_nat_update() {}
  /// Node::close() was called; requests and queries have ended.
  virtual void on_closed() {}
};

struct NodeCounters {
  uint64_t datagrams = 0;  // neither UDX nor probes
  uint64_t malformed = 0;
  uint64_t requests_received = 0;
  uint64_t invalid_tokens = 0;
  uint64_t unknown_commands = 0;
  uint64_t requests_sent = 0;  // without retries
  uint64_t retries = 0;
  uint64_t responses = 0;
  uint64_t timeouts = 0;         // all attempts of a request
  uint64_t stray_responses = 0;  // no such tid, or from elsewhere
  uint64_t overflows = 0;        // refused because too much waits
  uint64_t send_failures = 0;
  uint64_t bootstrap_failures = 0;
};

class Node final : public UdpReceiver {
 public:
  Node(Runtime& runtime, NodeOptions options);
  /// Closes at once; unanswered requests are dropped without a callback.
  ~Node() override;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// Binds both sockets and begins to bootstrap. Errors: the bind's. Requests and queries work from here on.
  Expected<void> start();
  /// Ends everything: outstanding requests fail with REQUEST_DESTROYED; `done` runs later, once nothing of the node is active any more.
  void close(std::function<void()> done = {});
  bool closed() const { return closed_; }

  void add_listener(NodeListener* listener);
  void remove_listener(NodeListener* listener);
  /// Runs `callback` once the node is ready (by post() if it already is).
  void on_ready(std::function<void()> callback);
  bool ready() const { return ready_; }

  // --- sockets -------------------------------------------------------------------------------------
  /// The socket requests leave from at present. All three only between start() and the end of close().
  UdpSocket& socket() { return firewalled_ ? *client_socket_ : *server_socket_; }
  /// As socket(); nullptr before start() and after close().
  UdpSocket* current_socket() { return firewalled_ ? client_socket_.get() : server_socket_.get(); }
  UdpSocket& server_socket() { return *server_socket_; }
  UdpSocket& client_socket() { return *client_socket_; }
  uint16_t server_port() const { return server_socket_->local_endpoint().port; }

  /// Sees every datagram of both sockets first; true: consumed.
  void set_datagram_filter(std::function<bool(UdpSocket&, const Endpoint&, ByteView)> filter) { filter_ = std::move(filter); }
  /// Datagrams of one byte (hole-punch probes) on the two sockets.
  void set_probe_handler(std::function<void(UdpSocket&, const Endpoint&)> handler) { probe_ = std::move(handler); }
  /// After each batch of either socket.
  void set_drained_handler(std::function<void(UdpSocket&)> handler) { drained_ = std::move(handler); }

  /// Lets another socket (hole puncher's) carry requests and answers. Its owner keeps receiving on it and passes dht-rpc datagrams to
  /// handle_datagram().
  void attach_socket(UdpSocket& socket);
  /// Before the socket goes: its outstanding requests fail with REQUEST_DESTROYED.
  void detach_socket(UdpSocket& socket);
  /// A dht-rpc datagram from an attached socket (or one of ours). Anything else is counted as malformed.
  void handle_datagram(UdpSocket& socket, const Endpoint& from, ByteView data);

  // --- state ---------------------------------------------------------------------------------------
  Runtime& runtime() { return runtime_; }
  const NodeOptions& options() const { return options_; }
  bool firewalled() const { return firewalled_; }
  bool ephemeral() const { return ephemeral_; }
  /// Only while persistent.
  std::optional<Hash32> id() const;
  /// Our address as others see it; port 0: differs from peer to peer. nullopt: not known yet.
  std::optional<Endpoint> external_address() const;
  /// A public address at which the server socket can be reached: not firewalled, and the external port is the local one.
  std::optional<Endpoint> remote_address() const;
  Health health() const;
  /// No bootstrap node has answered since the table became empty.
  bool bootstrap_unreachable() const;
  size_t table_size() const { return table_.size(); }
  const NodeCounters& counters() const;
  /// Nodes of the table, the one heard from last first; those that share a public address with an earlier one come after all others.
  std::vector<Endpoint> recent_nodes(size_t limit) const;
  /// Up to `k` nodes of the table near `target`, in the order of dht-rpc's table walk.
  std::vector<Endpoint> closest_nodes(const Hash32& target, size_t k = RoutingTable::kBucketSize) const;

  // --- requests ------------------------------------------------------------------------------------
  /// Errors: REQUEST_TIMEOUT, REQUEST_DESTROYED, REQUEST_OVERFLOW (too many waiting). The callback never runs inside this call.
  [[nodiscard]] RequestHandle request(const Endpoint& to, Command command, ResponseCallback callback, RequestOptions options = {});
  [[nodiscard]] RequestHandle ping(const Endpoint& to, ResponseCallback callback, RequestOptions options = {});
  /// Answered after `delay` (≤ 10 s, dht-rpc's limit): tells how long a NAT mapping lives.
  [[nodiscard]] RequestHandle delayed_ping(const Endpoint& to, Duration delay, ResponseCallback callback, RequestOptions options = {});

  /// Handles an external command instead of the storage role, persistent or not.
  void set_command_handler(uint64_t command, CommandHandler handler) { handlers_[command] = std::move(handler); }

  // --- storage role --------------------------------------------------------------------------------
  /// Where a peer that announced itself here can be reached: for forwarding handshakes and punch messages.
  std::optional<Route> find_route(const Hash32& target);
  Storage& storage() { return *storage_; }

  /// Call when the interfaces changed (the node also looks every tick).
  void notify_network_change();
  /// Call when the machine slept (the node also notices by itself, at its next tick).
  void notify_wakeup();

  // --- for the rest of this room -------------------------------------------------------------------
  void on_datagram(UdpSocket& socket, const Endpoint& from, ByteView data) override;
  void on_drained(UdpSocket& socket) override;
  /// Nodes refused by hyperdht's filter (four addresses of a stray testnet).
  static bool filtered(const Endpoint& address);
  const Hash32& table_id() const { return table_.id(); }
  bool has_bootstrap() const;
  /// Resolves the bootstrap list one after the other: `found` per node, then `done`. Destroying the result cancels.
  std::shared_ptr<void> resolve_bootstrap(std::function<void(const Endpoint&)> found, std::function<void()> done);
  /// A DOWN_HINT about `down` to `to`, within the per-tick limit.
  void send_down_hint(const Endpoint& to, const Endpoint& down);
  void postpone_refresh();
  /// Background work should keep out of the way.
  bool busy() const;
  void on_bootstrapped(bool reached);
  /// Reconsiders firewalled and (unless `only_firewall`) ephemeral; `done(true)` if anything changed.
  void update_network_state(bool only_firewall, std::function<void(bool changed)> done);

 private:
  friend class IncomingRequest;
  friend class Rpc;

  // Sockets and datagrams (node.cc).
  Expected<std::unique_ptr<UdpSocket>> bind_server_socket();
  bool knows_socket(const UdpSocket* socket) const;
  void on_request(IncomingRequest& request);
  void send_response(const IncomingRequest& request, const Endpoint& to, uint64_t error, std::optional<Bytes> value,
                     const ReplyOptions& options);
  void send_relay(const IncomingRequest& request, const Endpoint& to, Bytes value, UdpSocket* socket);
  void on_response(const Response& response);
  template <class Call>
  void notify(Call call);

  // Internal commands (node_commands.cc).
  void on_internal(IncomingRequest& request);
  void on_ping_nat(IncomingRequest& request);
  void on_down_hint(IncomingRequest& request);
  void on_delayed_ping(IncomingRequest& request);

  // Table upkeep (node_table.cc).
  void learn(const Endpoint& from, const std::optional<Hash32>& id, const Endpoint& to, bool sample);
  void add_contact(const Contact& contact, bool sample);
  void remove_contact(const Hash32& id);
  void on_bucket_full(const Contact& candidate);
  void ping_and_replace(const Contact& candidate, const Contact& old);
  void check(Contact& contact);
  void ping_some();
  void on_request_timeout(const Endpoint& to, bool passed_on);
  void add_nat_sample(const Endpoint& voter, const Endpoint& seen_as);
  bool may_vote(const Endpoint& voter);
  void note_seen_at(const Endpoint& by, const Endpoint& seen_as);
  void add_sample_without_id(const Endpoint& from, const Endpoint& to);

  // Ticks and network state (node_ticks.cc).
  void start_ticks();
  void on_tick();
  void on_silence_timer();
  void refresh();
  void set_health(Health health);
  void finish_network_update(bool only_firewall, const Endpoint& seen_as, std::unique_ptr<NatSampler> probed,
                             std::function<void(bool)> done);
  void become_ephemeral();
  void resample_address();
  void adopt_new_address();
  void check_interfaces();
  void force_persistence();

  struct Internals;

  Runtime& runtime_;
  NodeOptions options_;
  std::unique_ptr<UdpSocket> server_socket_;
  std::unique_ptr<UdpSocket> client_socket_;
  RoutingTable table_;
  std::unique_ptr<Rpc> rpc_;
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<Internals> internals_;
  std::unordered_map<uint64_t, CommandHandler> handlers_;
  std::function<bool(UdpSocket&, const Endpoint&, ByteView)> filter_;
  std::function<void(UdpSocket&, const Endpoint&)> probe_;
  std::function<void(UdpSocket&)> drained_;
  bool firewalled_;
  bool ephemeral_ = true;
  bool ready_ = false;
  bool closed_ = false;
};

}  // namespace hg::dht
