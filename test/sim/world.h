// A virtual-time network: hosts with IPv4 addresses joined by a lossy core. Nothing sleeps and nothing
// is random that the seed does not decide.
//
//   World world(seed);
//   Host& a = world.add_host("10.0.0.1");        // a Runtime: give it to protocol code
//   world.set_path(a, b, Path{.delay = 20ms, .loss = 0.05});
//   world.run_for(10s);   world.run_until([&] { return done; }, 60s);
//
// A path is one direction's properties; a host's socket sees datagrams after queue, rate, delay, jitter.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <queue>
#include <unordered_map>

#include "base/runtime.h"

namespace hg::sim {

struct Path {
  Duration delay = 1ms;
  Duration jitter{};             // uniform extra delay, which reorders
  Duration swing{};              // the delay of everything varies by half of this up and down, stretch by stretch; never reorders
  double loss = 0;               // probability that a datagram vanishes; with `burst` the share of the time in which all do
  Duration burst{};              // how long losses last; they strike behind the rate limit
  double duplicate = 0;          // probability that a datagram arrives twice
  double reorder = 0;            // probability that a datagram is held back by 2 × delay + 5 ms
  double rate_bps = 0;           // 0: unlimited
  size_t queue_bytes = 1 << 20;  // behind the rate limit; beyond it datagrams are dropped
  size_t mtu = 65535;            // longer UDP payloads vanish (a black hole), unless they may be fragmented,
  bool fragments = true;         // and fragments get through
};

struct PathCounters {
  uint64_t sent = 0;
  uint64_t delivered = 0;
  uint64_t dropped = 0;
  uint64_t bytes = 0;
};

/// A machine with other things to do: now and then it gets to nothing.
struct Busy {
  Duration between{};  // on average; 0: never
  Duration longest{};  // each takes up to this
};

class World;
class SimSocket;

class Host final : public Runtime, public UdpNetwork {
 public:
  Host(World& world, uint32_t address, uint64_t seed, const Busy& busy);
  ~Host() override;

  TimePoint now() const override;
  int64_t wall_ms() const override;
  TimerQueue& timers() override;
  Rng& rng() override { return rng_; }
  UdpNetwork& network() override { return *this; }
  void post(std::function<void()> task) override;

  Expected<std::unique_ptr<UdpSocket>> open_udp(const Endpoint& bind) override;
  std::vector<uint32_t> interface_addresses() const override { return {address_}; }
  void resolve(const std::string& host, std::function<void(Expected<std::vector<uint32_t>>)> callback) override;
  /// Names that resolve() knows beside dotted quads.
  std::map<std::string, std::vector<uint32_t>> names;
  bool silent_names = false;  // resolve() never calls back

  uint32_t address() const { return address_; }
  /// A host that is down neither sends nor receives.
  void set_up(bool up) { up_ = up; }
  /// Moves the host to another address; its sockets keep their ports.
  void set_address(uint32_t address);

 private:
  friend class World;
  friend class SimSocket;

  /// When it gets to what is due now.
  TimePoint free_at();

  World& world_;
  uint32_t address_;
  SeededRng rng_;
  const Busy busy_;
  SeededRng busy_rng_;
  TimerQueue own_timers_;  // of a busy host
  TimePoint busy_from_{};
  TimePoint busy_until_{};
  bool up_ = true;
  uint16_t next_port_ = 40000;
  std::map<uint16_t, SimSocket*> sockets_;
};

class World {
 public:
  explicit World(uint64_t seed = 1);
  ~World();

  Host& add_host(const std::string& address, const Busy& busy = {});
  /// Sets the properties of both directions; later calls replace earlier ones.
  void set_path(const Host& a, const Host& b, const Path& path);
  void set_one_way(const Host& from, const Host& to, const Path& path);
  void set_default_path(const Path& path) { default_path_ = path; }
  PathCounters counters(const Host& from, const Host& to) const;
  /// Sees every datagram that is sent.
  std::function<void(const Endpoint& from, ByteView data)> tap;

  TimePoint now() const { return now_; }
  int64_t wall_ms() const;
  void run_for(Duration span);
  /// True as soon as `done` holds; false when `limit` has passed first.
  bool run_until(const std::function<bool()>& done, Duration limit);
  TimerQueue& timers() { return timers_; }

 private:
  friend class Host;
  friend class SimSocket;

  struct Flight {
    TimePoint at;
    uint64_t order;
    Endpoint from;
    Endpoint to;
    Bytes data;
    bool operator>(const Flight& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
  };
  struct Lane {
    Path path;
    bool explicit_path = false;
    TimePoint line_free{};
    TimePoint burst_from{};
    TimePoint burst_until{};
    TimePoint swing_until{};
    TimePoint latest_arrival{};
    Duration swing_now{};
    PathCounters counters;
  };

  void transmit(const Endpoint& from, const Endpoint& to, ByteView data, bool fragmentable = false);
  void fly(Lane& lane, const Endpoint& from, const Endpoint& to, ByteView data, TimePoint leaves);
  Lane& lane(uint32_t from, uint32_t to);
  bool lost_in_burst(Lane& lane, TimePoint at);
  Duration swing_at(Lane& lane, TimePoint at);
  void deliver_due();
  void run_posted();
  TimePoint next_event();
  bool step(TimePoint limit);
  double chance() { return rng_.u32() / 4294967296.0; }

  TimePoint now_{std::chrono::hours(1)};
  SeededRng rng_;
  TimerQueue timers_;
  std::deque<std::function<void()>> posted_;
  std::priority_queue<Flight, std::vector<Flight>, std::greater<>> flights_;
  uint64_t next_order_ = 0;
  Path default_path_;
  std::map<std::pair<uint32_t, uint32_t>, Lane> lanes_;
  std::map<uint32_t, Host*> by_address_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<Host*> busy_hosts_;
};

}  // namespace hg::sim
