// The internal commands: PING, PING_NAT, FIND_NODE, DOWN_HINT, DELAYED_PING (npm dht-rpc 6.27 _onrequest).
#include "dht/node_internals.h"

namespace hg::dht {
namespace {

constexpr ReplyOptions kBare{.token = false, .closer_nodes = false};
constexpr ReplyOptions kWithNodes{.token = false, .closer_nodes = true};
constexpr uint32_t kMaxPingDelayMs = 10000;  // npm dht-rpc 6.27 maxPingDelay
constexpr size_t kMaxDelayedPings = 1024;
constexpr size_t kDownHintsPerTick = 50;  // npm dht-rpc 6.27 downHintsRateLimit

}  // namespace

void Node::on_internal(IncomingRequest& request) {
  switch (request.command) {
    case wire::kPing:
      return request.reply(std::nullopt, kBare);
    case wire::kPingNat:
      return on_ping_nat(request);
    case wire::kFindNode:
      if (request.target) request.reply(std::nullopt, kWithNodes);
      return;
    case wire::kDownHint:
      return on_down_hint(request);
    case wire::kDelayedPing:
      return on_delayed_ping(request);
    default:
      ++rpc_->counters.unknown_commands;
      return request.error(wire::kUnknownCommand);
  }
}

void Node::on_ping_nat(IncomingRequest& request) {
  if (!request.value) return;
  wire::Decoder d(*request.value);
  const uint16_t port = d.uint16();
  if (!d.ok() || port == 0) return;
  request.reply_to({request.from.address, port}, std::nullopt);
}

void Node::on_down_hint(IncomingRequest& request) {
  if (!request.value) return;
  wire::Decoder d(*request.value);
  const Endpoint down = d.endpoint();
  if (!d.ok()) return;
  if (internals_->checks < kMaxChecks) {
    Contact* contact = table_.find(node_id(down));
    if (contact != nullptr && (contact->pinged < internals_->tick || contact->down_hints == 0)) {
      contact->down_hints++;
      check(*contact);
    }
  }
  request.reply(std::nullopt, kBare);
}

void Node::on_delayed_ping(IncomingRequest& request) {
  if (!request.value) return;
  wire::Decoder d(*request.value);
  const uint32_t delay_ms = d.uint32();
  auto& pending = internals_->delayed_pings;
  if (!d.ok() || delay_ms > kMaxPingDelayMs || pending.size() >= kMaxDelayedPings) return;
  const auto at = pending.emplace(pending.end(), runtime_.timers(), request);
  at->fire = [this, at] {
    at->request.reply(std::nullopt, kBare);
    internals_->delayed_pings.erase(at);
  };
  at->timer.arm(runtime_.now() + std::chrono::milliseconds(delay_ms));
}

void Node::send_down_hint(const Endpoint& to, const Endpoint& down) {
  if (closed_ || internals_->down_hints_sent >= kDownHintsPerTick) return;
  internals_->down_hints_sent++;
  const auto address = wire::encode_endpoint(down);
  request(to, {.command = wire::kDownHint, .value = to_bytes(address), .internal = true}, [](Expected<Response>) {}).detach();
}

}  // namespace hg::dht
