#include "udx/bridge.h"

#include <algorithm>
#include <cmath>

#include "udx/mux_core.h"

namespace hg::udx {
namespace {

constexpr size_t kLeastBurst = 16 * 1024;   // ten full datagrams: what a sender's first window is
constexpr size_t kStreamIdOffset = 4;       // in a UDX header
constexpr size_t kMaxRunBytes = 60 * 1024;  // of one send
constexpr Duration kShortestWait = 500us;   // between two looks at the queue
constexpr size_t kPacketOverhead = 64;      // what an entry of the queue costs beside its bytes

void put_u32(uint8_t* out, uint32_t value) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<uint8_t>(value >> (8 * i));
}

}  // namespace

// ── Bandwidth ──

Bandwidth::Bandwidth(uint64_t bytes_per_second, size_t burst)
    : rate_(static_cast<double>(std::max<uint64_t>(bytes_per_second, 1))),
      capacity_(static_cast<double>(std::max(burst, kLeastBurst))),
      tokens_(capacity_) {}

void Bandwidth::refill(TimePoint now) {
  if (now <= filled_at_) return;
  if (filled_at_ != TimePoint{}) tokens_ = std::min(capacity_, tokens_ + to_seconds(now - filled_at_) * rate_);
  filled_at_ = now;
}

bool Bandwidth::allows(size_t bytes, TimePoint now) {
  refill(now);
  return tokens_ >= std::min(static_cast<double>(bytes), capacity_);
}

TimePoint Bandwidth::ready_at(size_t bytes, TimePoint now) {
  refill(now);
  const double missing = std::min(static_cast<double>(bytes), capacity_) - tokens_;
  return missing <= 0 ? now : now + Duration(static_cast<int64_t>(std::ceil(missing / rate_ * 1e9)));
}

// ── Bridge ──

Bridge::Bridge(MuxCore& core, BridgeOptions options)
    : core_(core), options_(std::move(options)), last_packet_(core.runtime.now()), timer_(core.runtime.timers(), [this] { run_queue(); }) {
  for (uint32_t& id : ids_) {
    id = core_.fresh_id();
    core_.bridges.emplace(id, this);
  }
}

Bridge::~Bridge() {
  for (const uint32_t id : ids_) core_.bridges.erase(id);
  core_.forget(*this);
}

void Bridge::count(uint64_t BridgeCounters::*which, uint64_t n) {
  counters_.*which += n;
  if (options_.totals != nullptr) options_.totals->*which += n;
}

bool Bridge::admits(size_t side, UdpSocket& socket, const Endpoint& from) {
  BridgePlace& place = places_[side];
  if (from.port == 0) return false;
  if (place.socket == &socket && place.remote == from) return true;
  auto known = options_.where(side);
  if (!known || known->socket != &socket || known->remote.address != from.address) return false;
  place = std::move(*known);
  place.remote = from;
  return true;
}

void Bridge::on_packet(uint32_t id, UdpSocket& socket, const Endpoint& from, ByteView datagram) {
  const size_t side = id == ids_[0] ? 0 : 1;
  const size_t to = 1 - side;
  const auto packet = wire::decode_udx_packet(datagram);
  if (!packet || !admits(side, socket, from)) return count(&BridgeCounters::foreign, 1);
  const TimePoint now = core_.runtime.now();
  last_packet_ = now;
  if (queue_.empty() && spend(datagram.size(), now)) {
    hand_on(to, datagram);
  } else if (queued_ + datagram.size() <= options_.own->burst()) {
    queued_ += datagram.size() + kPacketOverhead;
    queue_.push_back({to, to_bytes(datagram)});
    if (!timer_.armed()) run_queue();
  } else {
    drop();
  }
  if ((packet->header.flags & wire::kUdxDestroy) != 0 && options_.on_destroyed) options_.on_destroyed();
}

bool Bridge::spend(size_t bytes, TimePoint now) {
  if (!options_.own->allows(bytes, now) || !options_.total->allows(bytes, now)) return false;
  options_.own->take(bytes);
  options_.total->take(bytes);
  return true;
}

void Bridge::run_queue() {
  const TimePoint now = core_.runtime.now();
  while (!queue_.empty() && spend(queue_.front().datagram.size(), now)) {
    queued_ -= queue_.front().datagram.size() + kPacketOverhead;
    hand_on(queue_.front().to, queue_.front().datagram);
    queue_.pop_front();
  }
  flush();
  if (queue_.empty()) return;
  const size_t next = queue_.front().datagram.size();
  timer_.arm(std::max({options_.own->ready_at(next, now), options_.total->ready_at(next, now), now + kShortestWait}));
}

void Bridge::hand_on(size_t to, ByteView datagram) {
  Run& run = runs_[to];
  if (!run.bytes.empty() && (run.closed || datagram.size() > run.segment || run.bytes.size() + datagram.size() > kMaxRunBytes ||
                             run.bytes.size() / run.segment >= SendBatch::kMaxSegments))
    send(to);
  if (run.bytes.empty()) run.segment = datagram.size();
  run.closed = datagram.size() < run.segment;
  const size_t at = run.bytes.size();
  append_bytes(run.bytes, datagram);
  put_u32(run.bytes.data() + at + kStreamIdOffset, options_.remote_ids[to]);
  core_.touch(*this);
}

void Bridge::flush() {
  send(0);
  send(1);
}

void Bridge::send(size_t to) {
  Run& run = runs_[to];
  if (run.bytes.empty()) return;
  BridgePlace place = places_[to];
  if (place.socket == nullptr) place = options_.where(to).value_or(BridgePlace{});
  const size_t packets = (run.bytes.size() + run.segment - 1) / run.segment;
  bool sent = false;
  if (place.socket != nullptr) {
    const ByteView all(run.bytes);
    const size_t most = std::max<size_t>(1, std::min(place.socket->max_segments(), place.socket->max_segment_bytes() / run.segment));
    for (size_t at = 0; at < all.size(); at += most * run.segment) {
      const ByteView part = all.subspan(at, std::min(most * run.segment, all.size() - at));
      sent = place.socket->send_segments(place.remote, {&part, 1}, run.segment) == SendResult::kSent;
    }
  }
  if (sent) {
    count(&BridgeCounters::packets, packets);
    count(&BridgeCounters::bytes, run.bytes.size());
  } else {
    count(&BridgeCounters::dropped, packets);
  }
  run.bytes.clear();
}

}  // namespace hg::udx
