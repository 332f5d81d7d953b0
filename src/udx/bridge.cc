#include "udx/bridge.h"

#include <algorithm>

#include "udx/mux_core.h"

namespace hg::udx {
namespace {

constexpr size_t kStreamIdOffset = 4;      // in a UDX header
constexpr Duration kShortestWait = 500us;  // for its own rate
constexpr size_t kPacketOverhead = 64;     // what an entry of the queue costs beside its bytes

void put_u32(uint8_t* out, uint32_t value) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<uint8_t>(value >> (8 * i));
}

}  // namespace

Bridge::Bridge(MuxCore& core, BridgeOptions options)
    : core_(core), options_(std::move(options)), last_packet_(core.runtime.now()), timer_(core.runtime.timers(), [this] { wait(); }) {
  for (uint32_t& id : ids_) {
    id = core_.fresh_id();
    core_.bridges.emplace(id, this);
  }
}

Bridge::~Bridge() {
  options_.total->leave(*this);
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
  if (queue_.empty() && pass_now(datagram.size(), now)) {
    hand_on(to, datagram);
  } else if (queued_ + datagram.size() <= options_.own->burst()) {
    queued_ += datagram.size() + kPacketOverhead;
    queue_.push_back({to, to_bytes(datagram)});
    if (queue_.size() == 1) wait();
  } else {
    drop();
  }
  if ((packet->header.flags & wire::kUdxDestroy) != 0 && options_.on_destroyed) options_.on_destroyed();
}

bool Bridge::pass_now(size_t bytes, TimePoint now) {
  if (!options_.own->allows(bytes, now) || !options_.total->take(bytes)) return false;
  options_.own->take(bytes);
  return true;
}

void Bridge::wait() {
  if (own_allows_next()) options_.total->wait(*this);
}

bool Bridge::own_allows_next() {
  const TimePoint now = core_.runtime.now();
  if (options_.own->allows(next_bytes(), now)) return true;
  timer_.arm(std::max(options_.own->ready_at(next_bytes(), now), now + kShortestWait));
  return false;
}

bool Bridge::serve() {
  const Packet packet = std::move(queue_.front());
  queue_.pop_front();
  queued_ -= packet.datagram.size() + kPacketOverhead;
  options_.own->take(packet.datagram.size());
  hand_on(packet.to, packet.datagram);
  return !queue_.empty() && own_allows_next();
}

void Bridge::hand_on(size_t to, ByteView datagram) {
  DatagramRun& run = runs_[to];
  if (!run.fits(datagram.size())) send(to);
  const MutableBytes copy = run.add(datagram.size());
  std::copy(datagram.begin(), datagram.end(), copy.begin());
  put_u32(copy.data() + kStreamIdOffset, options_.remote_ids[to]);
  core_.touch(*this);
}

void Bridge::flush() {
  send(0);
  send(1);
}

void Bridge::send(size_t to) {
  DatagramRun& run = runs_[to];
  if (run.empty()) return;
  BridgePlace place = places_[to];
  if (place.socket == nullptr) place = options_.where(to).value_or(BridgePlace{});
  const size_t packets = run.datagrams();
  const size_t bytes = run.bytes();
  if (place.socket != nullptr && run.send(*place.socket, place.remote)) {
    count(&BridgeCounters::packets, packets);
    count(&BridgeCounters::bytes, bytes);
  } else {
    count(&BridgeCounters::dropped, packets);
    run.clear();
  }
}

}  // namespace hg::udx
