// One direction of an emulated link: what happens to an IP packet between two ends.
//
//   offer() ─▶ TTL under 8? ─▶ longer than the MTU? ─▶ queue full? ─▶ serialized at the rate ─▶ in a loss burst? ─▶ delay, jitter ─▶
//   release()
//              vanishes        DF: vanishes, unsaid     vanishes                                vanishes (its time on the line is used up)
//                              else: fragments
//
// A loss burst lasts in time, as long as `burst_packets` full packets take at the rate: a sparse sender meets it as rarely as a busy
// one. Jitter is the same for all packets of a stretch of time and never reorders; reordering and duplication are separate chances.
// Owner: the emulator's loop. One thread; time is passed in; the same seed and times give the same fate. Sizes: bytes of IP packets.
#pragma once

#include <cstdint>
#include <optional>
#include <queue>

#include "base/bytes.h"
#include "base/rng.h"
#include "base/time.h"

namespace hg::link {

struct LinkProperties {
  double rate_bps = 0;       // 0: as fast as it comes
  Duration delay{};          // one way, mean
  Duration jitter{};         // the delay varies by half of this up and down
  double loss = 0;           // share of the time (with burst_packets 0: of the packets) in which packets vanish
  double burst_packets = 0;  // 0: every packet by chance of its own
  double reorder = 0;        // chance to be held back by hold_back()
  double duplicate = 0;
  size_t queue_bytes = 0;  // before the line; 0: default_queue()
  size_t mtu = 65535;      // longer packets are fragmented, or vanish without a word where the sender forbids that
};

/// Rate times round-trip time, at least 45 KB.
size_t default_queue(const LinkProperties& properties);

struct LaneCounters {
  uint64_t packets_offered = 0;
  uint64_t bytes_offered = 0;
  uint64_t packets_delivered = 0;
  uint64_t bytes_delivered = 0;
  uint64_t bytes_pending = 0;  // offered, neither delivered nor dropped yet
  uint64_t dropped_queue = 0;
  uint64_t dropped_loss = 0;
  uint64_t dropped_mtu = 0;
  uint64_t dropped_ttl = 0;
  uint64_t packets_reordered = 0;
  uint64_t packets_duplicated = 0;
};

class Lane {
 public:
  static constexpr uint8_t kLeastTtl = 8;              // real paths are longer than this: opening probes of a low TTL must not arrive
  static constexpr size_t kLeastQueue = 45000;         // 30 full packets
  static constexpr size_t kMostInFlight = 256u << 20;  // bytes kept at most, whatever rate and delay say
  static constexpr double kFullPacketBits = 1500 * 8;

  Lane(const LinkProperties& properties, uint64_t seed);

  void offer(ByteView packet, TimePoint now);
  /// Calls `deliver(ByteView)` for every packet whose time has come.
  template <class Deliver>
  void release(TimePoint now, Deliver&& deliver) {
    while (!flights_.empty() && flights_.top().at <= now) {
      const Bytes& packet = flights_.top().packet;
      counters_.packets_delivered += 1;
      counters_.bytes_delivered += packet.size();
      counters_.bytes_pending -= packet.size();
      deliver(ByteView(packet));
      flights_.pop();
    }
  }
  std::optional<TimePoint> next_deadline() const;

  void set_mtu(size_t mtu) { properties_.mtu = mtu; }
  void set_loss(double loss) { properties_.loss = loss; }
  const LaneCounters& counters() const { return counters_; }

 private:
  struct Flight {
    TimePoint at;
    uint64_t order;
    Bytes packet;
    bool operator>(const Flight& other) const { return at != other.at ? at > other.at : order > other.order; }
  };

  bool chance(double probability) { return probability > 0 && rng_.u32() / 4294967296.0 < probability; }
  double exponential(double mean);
  bool lost_at(TimePoint at);
  Duration extra_at(TimePoint at);
  Duration hold_back() const;
  void carry(ByteView packet, TimePoint now);
  void fly(ByteView packet, TimePoint at);

  LinkProperties properties_;
  SeededRng rng_;
  LaneCounters counters_;
  std::priority_queue<Flight, std::vector<Flight>, std::greater<>> flights_;
  uint64_t next_order_ = 0;
  TimePoint line_free_{};
  TimePoint last_release_{};
  TimePoint burst_from_{};
  TimePoint burst_until_{};
  TimePoint jitter_until_{};
  Duration jitter_now_{};
};

}  // namespace hg::link
