#include "relay/gate_set.h"

#include <algorithm>

#include "base/log.h"
#include "relay/gate_listener.h"

namespace hg::relay {

namespace {
constexpr std::string_view kLog = "gate";
constexpr Duration kFirstBackOff = 1s;
constexpr Duration kLongestBackOff = 30s;

std::unique_ptr<GateListener> make_gate(LinkContext& context, tunnel::Gateway& gateway, tunnel::GateKey gate) {
  return gate.protocol == tunnel::Protocol::kUdp ? make_udp_gate(context, gateway, gate) : make_tcp_gate(context, gateway, gate);
}
}  // namespace

GateSet::GateSet(io::Loop& loop, tunnel::Node& node, io::SocketAddress listen)
    : context_{loop, node.limits(), &node.counters(), {}, {}},
      gateway_(*node.gateway()),
      listen_(std::move(listen)),
      retry_timer_(loop.timers(), [this] { retry_due(); }),
      idle_timer_(loop.timers(), [this] { sweep(); }) {
  gateway_.on_gates_changed([this] { follow(); });
  sweep();
  follow();
}

GateSet::~GateSet() { gateway_.on_gates_changed({}); }

std::vector<GateStatus> GateSet::status() const {
  std::vector<GateStatus> all;
  all.reserve(slots_.size());
  for (const auto& [key, slot] : slots_) {
    GateStatus status{slot.gate, slot.listener != nullptr && !stopped_, {}, slot.fault, 0};
    if (slot.listener != nullptr) {
      status.address = slot.listener->address();
      status.clients = slot.listener->clients();
    }
    all.push_back(std::move(status));
  }
  return all;
}

size_t GateSet::clients() const {
  size_t count = 0;
  for (const auto& [key, slot] : slots_) count += slot.listener == nullptr ? 0 : slot.listener->clients();
  for (const auto& [key, listener] : leaving_) count += listener->clients();
  return count;
}

size_t GateSet::clients(tunnel::GateKey gate) const {
  const auto slot = slots_.find(gate);
  const auto left = leaving_.find(gate);
  return (slot == slots_.end() || slot->second.listener == nullptr ? 0 : slot->second.listener->clients()) +
         (left == leaving_.end() ? 0 : left->second->clients());
}

void GateSet::stop_listening() {
  stopped_ = true;
  retry_timer_.disarm();
  for (auto& [key, slot] : slots_) {
    if (slot.listener != nullptr) slot.listener->stop_listening();
  }
}

void GateSet::follow() {
  if (gateway_.stopping()) stop_listening();
  if (stopped_) return;
  const std::vector<tunnel::Gate> wanted = gateway_.gates();
  for (auto slot = slots_.begin(); slot != slots_.end();) {
    const bool gone = std::none_of(wanted.begin(), wanted.end(), [&](const tunnel::Gate& gate) { return gate.key == slot->first; });
    if (gone) leave(slot->second);
    slot = gone ? slots_.erase(slot) : std::next(slot);
  }
  for (const tunnel::Gate& gate : wanted) {
    Slot& slot = slots_[gate.key];
    slot.gate = gate;
    if (slot.listener == nullptr && slot.retry_at <= context_.loop.now()) bind(slot);
  }
  arm_retry();
  if (changed_) changed_();
}

void GateSet::leave(Slot& slot) {
  const tunnel::GateKey key = slot.gate.key;
  HG_LOG(kDebug, kLog, "{}/{} closed: no provider offers it", key.port, tunnel::protocol_name(key.protocol));
  if (slot.listener == nullptr) return;
  slot.listener->stop_listening();
  slot.listener->close_waiting();
  if (slot.listener->clients() > 0) leaving_.emplace(key, std::move(slot.listener));
}

void GateSet::bind(Slot& slot) {
  const tunnel::GateKey key = slot.gate.key;
  io::SocketAddress address = listen_;
  address.set_port(key.port);
  auto left = leaving_.extract(key);
  auto listener = left.empty() ? make_gate(context_, gateway_, key) : std::move(left.mapped());
  const auto listening = listener->listen(address);
  if (listening) {
    slot.listener = std::move(listener);
    slot.fault.clear();
    slot.back_off = {};
    HG_LOG(kDebug, kLog, "{}/{} open for {}:{}", slot.listener->address(), tunnel::protocol_name(key.protocol), slot.gate.service_host,
           slot.gate.service_port);
    return;
  }
  if (listener->clients() > 0) leaving_.emplace(key, std::move(listener));
  if (slot.fault != listening.error().message) HG_LOG(kDebug, kLog, "{}; trying again", listening.error().message);
  slot.fault = listening.error().message;
  slot.back_off = slot.back_off == Duration{} ? kFirstBackOff : std::min(2 * slot.back_off, kLongestBackOff);
  slot.retry_at = context_.loop.now() + slot.back_off;
}

void GateSet::retry_due() {
  bool any = false;
  for (auto& [key, slot] : slots_) {
    if (slot.listener != nullptr || slot.retry_at > context_.loop.now()) continue;
    bind(slot);
    any = true;
  }
  arm_retry();
  if (any && changed_) changed_();
}

void GateSet::arm_retry() {
  TimePoint next = TimePoint::max();
  for (const auto& [key, slot] : slots_) {
    if (slot.listener == nullptr) next = std::min(next, slot.retry_at);
  }
  if (next != TimePoint::max()) retry_timer_.arm(next);
}

void GateSet::sweep() {
  for (auto& [key, slot] : slots_) {
    if (slot.listener != nullptr) slot.listener->sweep();
  }
  for (auto& [key, listener] : leaving_) listener->sweep();
  std::erase_if(leaving_, [](const auto& entry) { return entry.second->clients() == 0; });
  const tunnel::Limits& limits = context_.limits;
  idle_timer_.arm(context_.loop.now() + std::min({limits.channel_timeout_poll, limits.tcp_socket_timeout, limits.udp_socket_timeout}));
}

}  // namespace hg::relay
