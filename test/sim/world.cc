#include "sim/world.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace hg::sim {

class SimSocket final : public UdpSocket {
 public:
  SimSocket(Host& host, uint16_t port) : host_(host), port_(port) { host_.sockets_[port] = this; }
  ~SimSocket() override { host_.sockets_.erase(port_); }

  Endpoint local_endpoint() const override { return {host_.address_, port_}; }
  void set_receiver(UdpReceiver* receiver) override { receiver_ = receiver; }

  SendResult send(const Endpoint& to, ByteView data, int) override {
    if (!host_.up_) return SendResult::kFailed;
    host_.world_.transmit(local_endpoint(), to, data);
    return SendResult::kSent;
  }
  SendResult send_fragmentable(const Endpoint& to, ByteView data) override {
    if (!host_.up_) return SendResult::kFailed;
    host_.world_.transmit(local_endpoint(), to, data, true);
    return SendResult::kSent;
  }
  size_t max_segments() const override { return 64; }
  size_t max_segment_bytes() const override { return 65000; }
  SendResult send_segments(const Endpoint& to, std::span<const ByteView> slices, size_t segment_size) override {
    Bytes all;
    for (ByteView slice : slices) append_bytes(all, slice);
    for (size_t at = 0; at < all.size(); at += segment_size)
      if (send(to, ByteView(all).subspan(at, std::min(segment_size, all.size() - at)), kDefaultTtl) != SendResult::kSent)
        return SendResult::kFailed;
    return SendResult::kSent;
  }
  void on_writable(std::function<void()> callback) override { host_.post(std::move(callback)); }
  size_t path_mtu(const Endpoint&) const override { return 0; }

  UdpReceiver* receiver() { return receiver_; }

 private:
  Host& host_;
  uint16_t port_;
  UdpReceiver* receiver_ = nullptr;
};

Host::Host(World& world, uint32_t address, uint64_t seed, const Busy& busy)
    : world_(world), address_(address), rng_(seed), busy_(busy), busy_rng_(~seed) {}
Host::~Host() = default;

TimePoint Host::now() const { return world_.now(); }
int64_t Host::wall_ms() const { return world_.wall_ms(); }
TimerQueue& Host::timers() { return busy_.between > Duration{} ? own_timers_ : world_.timers_; }
void Host::post(std::function<void()> task) { world_.posted_.push_back(std::move(task)); }

Expected<std::unique_ptr<UdpSocket>> Host::open_udp(const Endpoint& bind) {
  uint16_t port = bind.port;
  if (port == 0) {
    while (sockets_.contains(next_port_)) ++next_port_;
    port = next_port_++;
  } else if (sockets_.contains(port)) {
    return Error{"EADDRINUSE", "port " + std::to_string(port) + " is in use"};
  }
  return std::unique_ptr<UdpSocket>(std::make_unique<SimSocket>(*this, port));
}

void Host::resolve(const std::string& host, std::function<void(Expected<std::vector<uint32_t>>)> callback) {
  if (silent_names) return;
  post([this, host, callback = std::move(callback)] {
    if (const auto address = parse_ipv4(host)) return callback(std::vector<uint32_t>{*address});
    if (const auto known = names.find(host); known != names.end()) return callback(known->second);
    callback(Error{"ENOTFOUND", "no address for " + host});
  });
}

TimePoint Host::free_at() {
  const TimePoint now = world_.now_;
  if (busy_.between <= Duration{}) return now;
  const auto part = [&] { return busy_rng_.u32() / 4294967296.0; };
  if (busy_until_ == TimePoint{}) busy_until_ = now;
  while (now >= busy_until_) {
    busy_from_ = busy_until_ + Duration(static_cast<int64_t>(-to_seconds(busy_.between) * std::log(1 - part()) * 1e9));
    busy_until_ = busy_from_ + Duration(static_cast<int64_t>(to_seconds(busy_.longest) * part() * 1e9));
  }
  return now >= busy_from_ ? busy_until_ : now;
}

void Host::set_address(uint32_t address) {
  world_.by_address_.erase(address_);
  address_ = address;
  world_.by_address_[address_] = this;
}

World::World(uint64_t seed) : rng_(seed) {}
World::~World() = default;

Host& World::add_host(const std::string& address, const Busy& busy) {
  const uint32_t ip = parse_ipv4(address).value();
  hosts_.push_back(std::make_unique<Host>(*this, ip, (static_cast<uint64_t>(rng_.u32()) << 32) | ip, busy));
  by_address_[ip] = hosts_.back().get();
  if (busy.between > Duration{}) busy_hosts_.push_back(hosts_.back().get());
  return *hosts_.back();
}

void World::set_path(const Host& a, const Host& b, const Path& path) {
  set_one_way(a, b, path);
  set_one_way(b, a, path);
}

void World::set_one_way(const Host& from, const Host& to, const Path& path) {
  Lane& l = lane(from.address_, to.address_);
  l.path = path;
  l.explicit_path = true;
  l.swing_now = {};
  l.swing_until = {};
}

PathCounters World::counters(const Host& from, const Host& to) const {
  const auto found = lanes_.find({from.address_, to.address_});
  return found == lanes_.end() ? PathCounters{} : found->second.counters;
}

int64_t World::wall_ms() const { return 1'700'000'000'000 + to_ms(now_.time_since_epoch()); }

World::Lane& World::lane(uint32_t from, uint32_t to) {
  Lane& l = lanes_[{from, to}];
  if (!l.explicit_path) l.path = default_path_;
  return l;
}

void World::transmit(const Endpoint& from, const Endpoint& to, ByteView data, bool fragmentable) {
  if (tap) tap(from, data);
  Endpoint target = to;
  if (target.address == Endpoint::loopback(0).address) target.address = from.address;
  Lane& l = lane(from.address, target.address);
  l.counters.sent++;
  l.counters.bytes += data.size();
  const bool lost_by_chance = l.path.burst == Duration::zero() && chance() < l.path.loss;
  const bool too_long = data.size() > l.path.mtu && !(fragmentable && l.path.fragments);
  if (too_long || lost_by_chance) {
    l.counters.dropped++;
    return;
  }
  TimePoint leaves = now_;
  if (l.path.rate_bps > 0) {
    constexpr size_t kHeaders = 28;  // IPv4 + UDP
    const TimePoint start = std::max(now_, l.line_free);
    const double waiting = to_seconds(start - now_) * l.path.rate_bps / 8;
    if (waiting + static_cast<double>(data.size()) > static_cast<double>(l.path.queue_bytes)) {
      l.counters.dropped++;
      return;
    }
    const double seconds = static_cast<double>(data.size() + kHeaders) * 8 / l.path.rate_bps;
    leaves = l.line_free = start + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  }
  if (lost_in_burst(l, leaves)) {
    l.counters.dropped++;
    return;
  }
  fly(l, from, target, data, leaves);
  if (chance() < l.path.duplicate) fly(l, from, target, data, leaves + 1ms);
}

bool World::lost_in_burst(Lane& l, TimePoint at) {
  const Path& path = l.path;
  if (path.burst == Duration::zero() || path.loss <= 0) return false;
  if (l.burst_until == TimePoint{}) l.burst_until = at;
  while (at >= l.burst_until) {
    const double good = to_seconds(path.burst) * std::max(0.0, 1 - path.loss) / path.loss;
    l.burst_from = l.burst_until + Duration(static_cast<int64_t>(-good * std::log(1 - chance()) * 1e9));
    l.burst_until = l.burst_from + path.burst;
  }
  return at >= l.burst_from;
}

Duration World::swing_at(Lane& l, TimePoint at) {
  if (l.path.swing > Duration::zero() && at >= l.swing_until) {
    l.swing_until = at + std::max<Duration>(l.path.swing, 5ms);
    l.swing_now = Duration(static_cast<int64_t>((chance() - 0.5) * static_cast<double>(l.path.swing.count())));
  }
  return l.swing_now;
}

void World::fly(Lane& l, const Endpoint& from, const Endpoint& to, ByteView data, TimePoint leaves) {
  TimePoint at = leaves + l.path.delay + swing_at(l, leaves);
  if (l.path.swing > Duration::zero()) at = l.latest_arrival = std::max(at, l.latest_arrival);
  if (l.path.jitter > Duration::zero()) at += Duration(static_cast<int64_t>(chance() * static_cast<double>(l.path.jitter.count())));
  if (chance() < l.path.reorder) at += 2 * l.path.delay + 5ms;
  flights_.push({at, next_order_++, from, to, to_bytes(data)});
}

void World::deliver_due() {
  std::vector<Endpoint> touched;
  while (!flights_.empty() && flights_.top().at <= now_) {
    Flight flight = flights_.top();
    flights_.pop();
    const auto host = by_address_.find(flight.to.address);
    if (host != by_address_.end() && host->second->free_at() > now_) {  // it waits in the socket
      flight.at = host->second->free_at();
      flights_.push(std::move(flight));
      continue;
    }
    lane(flight.from.address, flight.to.address).counters.delivered++;
    if (host == by_address_.end() || !host->second->up_) continue;
    const auto socket = host->second->sockets_.find(flight.to.port);
    if (socket == host->second->sockets_.end() || socket->second->receiver() == nullptr) continue;
    socket->second->receiver()->on_datagram(*socket->second, flight.from, flight.data);
    if (std::find(touched.begin(), touched.end(), flight.to) == touched.end()) touched.push_back(flight.to);
  }
  for (const Endpoint& at : touched) {
    const auto host = by_address_.find(at.address);
    if (host == by_address_.end()) continue;
    const auto socket = host->second->sockets_.find(at.port);
    if (socket != host->second->sockets_.end() && socket->second->receiver() != nullptr)
      socket->second->receiver()->on_drained(*socket->second);
  }
}

void World::run_posted() {
  while (!posted_.empty()) {
    auto task = std::move(posted_.front());
    posted_.pop_front();
    task();
  }
}

TimePoint World::next_event() {
  TimePoint next = timers_.next_deadline().value_or(TimePoint::max());
  if (!flights_.empty()) next = std::min(next, flights_.top().at);
  for (Host* host : busy_hosts_)
    if (const auto own = host->own_timers_.next_deadline()) next = std::min(next, std::max(*own, host->free_at()));
  return next;
}

bool World::step(TimePoint limit) {
  run_posted();
  const TimePoint next = next_event();
  if (next > limit) {
    now_ = limit;
    return false;
  }
  now_ = std::max(now_, next);
  deliver_due();
  run_posted();
  timers_.run_due(now_);
  for (Host* host : busy_hosts_)
    if (host->free_at() == now_) host->own_timers_.run_due(now_);
  run_posted();
  return true;
}

void World::run_for(Duration span) {
  const TimePoint limit = now_ + span;
  while (step(limit)) {
  }
}

bool World::run_until(const std::function<bool()>& done, Duration limit) {
  const TimePoint end = now_ + limit;
  run_posted();
  while (!done())
    if (!step(end)) return done();
  return true;
}

}  // namespace hg::sim
