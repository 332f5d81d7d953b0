// For tests: peers (node, mux, Host) on a virtual-time network, some of them behind simulated NATs.
//
// A NatRuntime stands between protocol code and its sim::Host: it lets datagrams in only from where one
// was sent to before (address and port restricted), keeps one external port per socket (consistent) or
// one per destination (random), and drops low-TTL probes after they have opened the mapping.
#pragma once

#include <map>
#include <set>

#include "nat/punch_plan.h"
#include "noise/keys.h"
#include "peer/host.h"
#include "sim/dht_network.h"
#include "udx/udx.h"

namespace hg::sim {

enum class NatKind { kConsistent, kRandom };

struct NatCounters {
  size_t made = 0;  // sockets, ever
  size_t open = 0;
  size_t probes_to_lose = 0;  // so many of the next incoming ones vanish
  size_t reboots = 0;         // each forgets who may come in
  size_t remaps = 0;          // each gives every socket new ports
};

class NatSocket final : public UdpSocket, private UdpReceiver {
 public:
  NatSocket(UdpNetwork& outside, NatKind kind, const Endpoint& inside, NatCounters& counters)
      : outside_(outside), kind_(kind), inside_(inside), counters_(counters) {
    counters_.open++;
    counters_.made++;
  }
  ~NatSocket() override { counters_.open--; }

  Endpoint local_endpoint() const override { return inside_; }
  void set_receiver(UdpReceiver* receiver) override { receiver_ = receiver; }
  SendResult send(const Endpoint& to, ByteView data, int ttl) override {
    UdpSocket& mapping = mapping_for(to);
    open_.insert({&mapping, to});
    if (ttl == nat::kLowTtl) return SendResult::kSent;
    return mapping.send(to, data);
  }
  size_t max_segments() const override { return 1; }
  size_t max_segment_bytes() const override { return 65000; }
  SendResult send_segments(const Endpoint& to, std::span<const ByteView> slices, size_t segment_size) override {
    Bytes all;
    for (ByteView slice : slices) append_bytes(all, slice);
    for (size_t at = 0; at < all.size(); at += segment_size)
      send(to, ByteView(all).subspan(at, std::min(segment_size, all.size() - at)), kDefaultTtl);
    return SendResult::kSent;
  }
  SendResult send_fragmentable(const Endpoint& to, ByteView data) override { return send(to, data, kDefaultTtl); }
  void on_writable(std::function<void()>) override {}
  size_t path_mtu(const Endpoint&) const override { return 0; }

 private:
  void notice_reboot() {
    if (std::exchange(reboots_seen_, counters_.reboots) != counters_.reboots) open_.clear();
  }
  UdpSocket& mapping_for(const Endpoint& to) {
    notice_reboot();
    if (std::exchange(remaps_seen_, counters_.remaps) != counters_.remaps) mappings_.clear();
    auto& mapping = mappings_[kind_ == NatKind::kRandom ? to : Endpoint{}];
    if (!mapping) {
      mapping = std::move(*outside_.open_udp({}));
      mapping->set_receiver(this);
    }
    return *mapping;
  }
  void on_datagram(UdpSocket& mapping, const Endpoint& from, ByteView data) override {
    notice_reboot();
    if (!open_.contains({&mapping, from}) || receiver_ == nullptr) return;
    if (data.size() == 1 && counters_.probes_to_lose > 0) {
      counters_.probes_to_lose--;
      return;
    }
    receiver_->on_datagram(*this, from, data);
  }
  void on_drained(UdpSocket&) override {
    if (receiver_ != nullptr) receiver_->on_drained(*this);
  }

  UdpNetwork& outside_;
  NatKind kind_;
  Endpoint inside_;
  NatCounters& counters_;
  UdpReceiver* receiver_ = nullptr;
  std::map<Endpoint, std::unique_ptr<UdpSocket>> mappings_;
  std::set<std::pair<UdpSocket*, Endpoint>> open_;
  size_t reboots_seen_ = 0;
  size_t remaps_seen_ = 0;
};

class NatRuntime final : public Runtime, public UdpNetwork {
 public:
  NatRuntime(Host& host, NatKind kind, uint32_t inside) : host_(host), kind_(kind), inside_(inside) {}

  TimePoint now() const override { return host_.now(); }
  int64_t wall_ms() const override { return host_.wall_ms() + wall_offset_ms; }
  TimerQueue& timers() override { return host_.timers(); }
  Rng& rng() override { return host_.rng(); }
  UdpNetwork& network() override { return *this; }
  void post(std::function<void()> task) override { host_.post(std::move(task)); }

  Expected<std::unique_ptr<UdpSocket>> open_udp(const Endpoint& bind) override {
    const uint16_t port = bind.port != 0 ? bind.port : next_port_++;
    return std::unique_ptr<UdpSocket>(std::make_unique<NatSocket>(host_, kind_, Endpoint{inside_, port}, counters));
  }
  std::vector<uint32_t> interface_addresses() const override { return {inside_}; }
  void resolve(const std::string& name, std::function<void(Expected<std::vector<uint32_t>>)> callback) override {
    if (lookups_answered == 0) return;
    lookups_answered--;
    host_.resolve(name, std::move(callback));
  }

  /// The router starts anew: nothing may come in, and every mapping is another one unless `same_ports`.
  void reboot(bool same_ports) {
    counters.reboots++;
    if (!same_ports) counters.remaps++;
  }

  NatCounters counters;
  size_t lookups_answered = SIZE_MAX;  // of names; those after hang
  int64_t wall_offset_ms = 0;          // how wrong this machine's clock is

 private:
  Host& host_;
  NatKind kind_;
  uint32_t inside_;
  uint16_t next_port_ = 20000;
};

/// One process: its node, its streams, its Host.
struct Peer {
  Peer(Runtime& rt, dht::NodeOptions options) : runtime(rt), node(rt, std::move(options)), mux(rt) {
    if (!node.start()) throw std::runtime_error("bind failed");
    host = std::make_unique<peer::Host>(rt, node, mux);
  }
  Runtime& runtime;
  dht::Node node;
  udx::Mux mux;
  std::unique_ptr<peer::Host> host;
};

/// A DHT of persistent nodes that also relay, and peers of every kind.
class PeerNetwork {
 public:
  static constexpr Path kPath{.delay = 10ms};
  explicit PeerNetwork(uint64_t seed = 1, size_t nodes = 12) : world(seed) {
    crypto::init();
    world.set_default_path(kPath);
    dht::NodeOptions bootstrap = DhtNetwork::persistent_options();
    bootstrap.bootstrap = {};
    bootstrap.host = parse_ipv4("8.0.0.1");
    add_at("8.0.0.1", bootstrap);
    for (size_t i = 1; i < nodes; ++i) {
      add_at("8.1.0." + std::to_string(i), DhtNetwork::persistent_options());
      world.run_for(200ms);
    }
  }
  ~PeerNetwork() {
    peers.clear();
    world.run_for(1s);
  }

  Peer& add_at(const std::string& address, dht::NodeOptions options) {
    hosts.push_back(&world.add_host(address));
    peers.push_back(std::make_unique<Peer>(*hosts.back(), std::move(options)));
    return *peers.back();
  }
  /// An ephemeral node on a public address.
  Peer& add_open() { return add_at("9.0.0." + std::to_string(++count_), DhtNetwork::user_options()); }
  Peer& add_behind_nat(NatKind kind) {
    hosts.push_back(&world.add_host("7.0.0." + std::to_string(++count_)));
    nats.push_back(std::make_unique<NatRuntime>(*hosts.back(), kind, parse_ipv4("10." + std::to_string(count_) + ".0.2").value()));
    peers.push_back(std::make_unique<Peer>(*nats.back(), DhtNetwork::user_options()));
    return *peers.back();
  }
  /// Behind a NAT of that kind; nullopt: on a public address.
  Peer& add(std::optional<NatKind> kind) { return kind ? add_behind_nat(*kind) : add_open(); }
  Host& host_of(const Peer& peer) {
    for (size_t i = 0; i < peers.size(); ++i)
      if (peers[i].get() == &peer) return *hosts[i];
    throw std::runtime_error("no such peer");
  }
  /// Nothing gets through between the two; everything else does.
  void block(const Peer& a, const Peer& b) { world.set_path(host_of(a), host_of(b), {.loss = 1}); }
  void unblock(const Peer& a, const Peer& b) { world.set_path(host_of(a), host_of(b), kPath); }
  /// A node of the DHT starts over with nothing remembered.
  void restart(size_t index) {
    const dht::NodeOptions options = peers[index]->node.options();
    peers[index].reset();
    peers[index] = std::make_unique<Peer>(*hosts[index], options);
  }
  bool settle() {
    return world.run_until(
        [&] {
          for (const auto& peer : peers)
            if (peer && !peer->node.ready()) return false;
          return true;
        },
        60s);
  }

  World world;
  std::vector<Host*> hosts;
  std::vector<std::unique_ptr<NatRuntime>> nats;
  std::vector<std::unique_ptr<Peer>> peers;

 private:
  int count_ = 0;
};

/// Collects what happens on a connection, and owns it until it closes.
class Collector final : public ByteStreamHandler {
 public:
  explicit Collector(std::unique_ptr<noise::Connection> c, bool echo = false) : connection(std::move(c)), echo_(echo) {
    connection->set_handler(this);
  }
  void on_open() override { opened = true; }
  void on_data(ByteView data) override {
    append_bytes(received, data);
    if (echo_) connection->write(Buffer::copy_of(data));
  }
  void on_end() override { ended = true; }
  void on_close(const std::optional<Error>& e) override {
    closed = true;
    error = e;
    connection.reset();
  }
  void send(ByteView data) { connection->write(Buffer::copy_of(data)); }

  std::unique_ptr<noise::Connection> connection;
  Bytes received;
  bool opened = false;
  bool ended = false;
  bool closed = false;
  std::optional<Error> error;

 private:
  bool echo_;
};

}  // namespace hg::sim
