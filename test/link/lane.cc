#include "link/lane.h"

#include <algorithm>
#include <cmath>

#include "link/ip_packet.h"

namespace hg::link {

namespace {

constexpr Duration kLeastStretch = 5ms;   // of one value of the jitter
constexpr Duration kLeastHoldBack = 5ms;  // of a reordered packet

Duration seconds(double value) { return Duration(static_cast<int64_t>(value * 1e9)); }

// IPv6 uses a hop limit of 1 for its own housekeeping on the link, which does not cross a router either.
bool too_short_lived(ByteView packet) { return ttl_of(packet) < Lane::kLeastTtl; }

}  // namespace

size_t default_queue(const LinkProperties& properties) {
  const double bdp = properties.rate_bps / 8 * 2 * to_seconds(properties.delay);
  return std::max(Lane::kLeastQueue, static_cast<size_t>(bdp));
}

Lane::Lane(const LinkProperties& properties, uint64_t seed) : properties_(properties), rng_(seed) {
  if (properties_.queue_bytes == 0) properties_.queue_bytes = default_queue(properties_);
}

double Lane::exponential(double mean) { return -mean * std::log(1 - rng_.u32() / 4294967296.0); }

bool Lane::lost_at(TimePoint at) {
  const double loss = properties_.loss;
  if (loss <= 0) return false;
  if (properties_.burst_packets <= 0 || properties_.rate_bps <= 0) return chance(loss);
  const double bad = properties_.burst_packets * kFullPacketBits / properties_.rate_bps;
  const double good = loss >= 1 ? 0 : bad * (1 - loss) / loss;
  if (burst_until_ == TimePoint{}) burst_until_ = at;
  while (at >= burst_until_) {
    burst_from_ = burst_until_ + seconds(exponential(good));
    burst_until_ = burst_from_ + seconds(bad);
  }
  return at >= burst_from_;
}

Duration Lane::extra_at(TimePoint at) {
  if (properties_.jitter <= Duration::zero()) return Duration::zero();
  if (at >= jitter_until_) {
    jitter_until_ = at + std::max(properties_.jitter, kLeastStretch);
    jitter_now_ = seconds(to_seconds(properties_.jitter) * (rng_.u32() / 4294967296.0 - 0.5));
  }
  return jitter_now_;
}

Duration Lane::hold_back() const { return std::max(properties_.delay / 2, kLeastHoldBack); }

void Lane::offer(ByteView packet, TimePoint now) {
  ++counters_.packets_offered;
  counters_.bytes_offered += packet.size();
  if (too_short_lived(packet)) {
    ++counters_.dropped_ttl;
  } else if (packet.size() <= properties_.mtu) {
    carry(packet, now);
  } else if (const auto fragments = fragments_of(packet, properties_.mtu)) {
    for (const Bytes& fragment : *fragments) carry(fragment, now);
  } else {
    ++counters_.dropped_mtu;
  }
}

void Lane::carry(ByteView packet, TimePoint now) {
  TimePoint leaves = now;
  if (properties_.rate_bps > 0) {
    line_free_ = std::max(line_free_, now);
    const double waiting = to_seconds(line_free_ - now) * properties_.rate_bps / 8;
    if (waiting + static_cast<double>(packet.size()) > static_cast<double>(properties_.queue_bytes)) {
      ++counters_.dropped_queue;
      return;
    }
    line_free_ += seconds(static_cast<double>(packet.size()) * 8 / properties_.rate_bps);
    leaves = line_free_;
  }
  if (lost_at(leaves)) {
    ++counters_.dropped_loss;
    return;
  }
  TimePoint arrives = leaves + std::max(Duration::zero(), properties_.delay + extra_at(leaves));
  if (chance(properties_.reorder)) {
    ++counters_.packets_reordered;
    arrives += hold_back();
  } else {
    arrives = last_release_ = std::max(arrives, last_release_);
  }
  fly(packet, arrives);
  if (!chance(properties_.duplicate)) return;
  ++counters_.packets_duplicated;
  fly(packet, arrives);
}

void Lane::fly(ByteView packet, TimePoint at) {
  if (counters_.bytes_pending + packet.size() > kMostInFlight) {
    ++counters_.dropped_queue;
    return;
  }
  counters_.bytes_pending += packet.size();
  flights_.push({at, next_order_++, to_bytes(packet)});
}

std::optional<TimePoint> Lane::next_deadline() const {
  if (flights_.empty()) return std::nullopt;
  return flights_.top().at;
}

}  // namespace hg::link
