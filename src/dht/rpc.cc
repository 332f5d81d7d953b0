#include "dht/rpc.h"

#include <algorithm>

#include "dht/private_address.h"
#include "wire/hyperdht.h"

namespace hg::dht {
namespace {

constexpr Duration kAttemptTimeout = std::chrono::seconds(1);            // npm dht-rpc 6.27
constexpr Duration kMinAttemptTimeout = std::chrono::milliseconds(250);  // above a busy remote event loop's delay
constexpr int kFullRetries = 3;                                          // fewer attempts do not prove a node dead

/// Only the peer it is for can answer it, through the node that was asked (npm hyperdht 6.34).
bool passed_on(const Command& command) {
  return !command.internal && (command.command == wire::kPeerHandshake || command.command == wire::kPeerHolepunch);
}

}  // namespace

struct Rpc::Request {
  Request(TimerQueue& timers, std::function<void()> on_timer) : timer(timers, std::move(on_timer)) {}

  uint16_t tid = 0;
  Endpoint to;
  Command command;
  UdpSocket* socket = nullptr;
  RequestOptions options;
  ResponseCallback callback;
  Bytes datagram;  // encoded at the first transmission
  int sent = 0;
  bool queued = false;
  TimePoint sent_at{};
  Timer timer;
  std::shared_ptr<std::function<void()>> cancel;
};

Rpc::Rpc(Node& node)
    : node_(node),
      runtime_(node.runtime()),
      drain_timer_(runtime_.timers(), [this] { drain(); }),
      next_tid_(static_cast<uint16_t>(runtime_.rng().u32())) {
  drain_timer_.arm(runtime_.now() + CongestionWindow::kSlot);
}

Rpc::~Rpc() {
  // Destroying a callback may cancel another request: that must find an orderly, empty table.
  const auto doomed = std::exchange(requests_, {});
}

RequestHandle Rpc::send(const Endpoint& to, Command command, ResponseCallback callback, RequestOptions options) {
  const Shared request = make(to, std::move(command), std::move(callback), std::move(options));
  if (node_.closed() || !node_.knows_socket(request->socket) || to.port == 0)
    return refuse(request, {"REQUEST_DESTROYED", "request to " + to.to_string() + " cannot be sent"});
  if (requests_.size() >= kMaxOutstanding) {
    ++counters.overflows;
    return refuse(request, {"REQUEST_OVERFLOW", "too many requests are waiting"});
  }
  ++counters.requests_sent;
  ++next_tid_;
  request->cancel = std::make_shared<std::function<void()>>([this, tid = request->tid] {
    const auto found = requests_.find(tid);
    if (found == requests_.end()) return;
    if (found->second->sent > 0) window_.on_reply();
    requests_.erase(found);
  });
  requests_.emplace(request->tid, request);
  transmit(request);
  return RequestHandle(request->cancel);
}

RequestHandle Rpc::refuse(const Shared& request, Error error) {
  request->cancel = std::make_shared<std::function<void()>>([weak = std::weak_ptr(request)] {
    const auto held = weak.lock();
    if (held) held->callback = nullptr;
  });
  RequestHandle handle(request->cancel);
  runtime_.post([request, error = std::move(error)] {
    request->cancel.reset();
    if (const auto run = std::exchange(request->callback, nullptr)) run(error);
  });
  return handle;
}

Rpc::Shared Rpc::make(const Endpoint& to, Command command, ResponseCallback callback, RequestOptions options) {
  while (requests_.size() < kMaxOutstanding && requests_.contains(next_tid_)) ++next_tid_;
  const auto request = std::make_shared<Request>(runtime_.timers(), [this, tid = next_tid_] { on_timeout(tid); });
  request->tid = next_tid_;
  request->to = to;
  request->command = std::move(command);
  request->callback = std::move(callback);
  request->options = std::move(options);
  request->socket = request->options.socket != nullptr ? request->options.socket : node_.current_socket();
  return request;
}

void Rpc::transmit(const Shared& request) {
  if (!window_.full()) return transmit_now(request);
  if (request->queued) return;
  request->queued = true;
  waiting_.push_back(request);
}

void Rpc::transmit_now(const Shared& request) {
  if (request->datagram.empty()) {
    const bool with_id = !node_.ephemeral() && request->socket == &node_.server_socket();
    Command& c = request->command;
    request->datagram = wire::encode(wire::RpcRequest{request->tid, request->to, with_id ? std::optional(node_.table_id()) : std::nullopt,
                                                      c.token, c.internal, c.command, c.target, std::move(c.value)});
  }
  ++request->sent;
  request->sent_at = runtime_.now();
  window_.on_send();
  if (request->socket->send(request->to, request->datagram, request->options.ttl) != SendResult::kSent) ++counters.send_failures;
  request->timer.arm(runtime_.now() + attempt_timeout(*request));
}

void Rpc::on_timeout(uint16_t tid) {
  const auto found = requests_.find(tid);
  if (found == requests_.end()) return;
  const Shared request = found->second;
  if (const auto slow = std::exchange(request->options.on_slow, nullptr)) slow();
  if (const auto still = requests_.find(tid); still == requests_.end() || still->second != request) return;
  if (request->sent <= request->options.retries) {
    ++counters.retries;
    return transmit(request);
  }
  ++counters.timeouts;
  window_.on_reply();
  if (request->options.retries >= kFullRetries) node_.on_request_timeout(request->to, passed_on(request->command));
  finish(request, Error{"REQUEST_TIMEOUT", "no answer from " + request->to.to_string()});
}

void Rpc::on_response(UdpSocket& socket, const Endpoint& from, wire::RpcResponse&& message) {
  const auto found = requests_.find(message.tid);
  if (found == requests_.end() || found->second->sent == 0 || (from != found->second->to && !is_private(from.address))) {
    ++counters.stray_responses;
    return;
  }
  const Shared request = found->second;
  Response response{.from = from,
                    .to = message.to,
                    .id = std::nullopt,
                    .token = message.token,
                    .closer_nodes = std::move(message.closer_nodes),
                    .error = message.error,
                    .value = std::move(message.value),
                    .rtt = runtime_.now() - request->sent_at,
                    .socket = &socket};
  if (message.id && *message.id == node_id(from)) response.id = message.id;
  ++counters.responses;
  window_.on_reply();
  if (request->sent == 1 && request->options.timeout == Duration::zero()) sample_rtt(response.rtt);
  node_.on_response(response);
  finish(request, std::move(response));
}

void Rpc::finish(const Shared& request, Expected<Response> outcome) {
  if (requests_.erase(request->tid) == 0) return;
  request->timer.disarm();
  request->cancel.reset();
  if (const auto run = std::exchange(request->callback, nullptr)) run(std::move(outcome));
}

void Rpc::fail(const UdpSocket* socket) {
  std::vector<Shared> doomed;
  for (const auto& [tid, request] : requests_)
    if (socket == nullptr || request->socket == socket) doomed.push_back(request);
  for (const Shared& request : doomed)
    finish(request, Error{"REQUEST_DESTROYED", "request to " + request->to.to_string() + " was dropped"});
}

void Rpc::drain() {
  drain_timer_.arm(runtime_.now() + CongestionWindow::kSlot);
  window_.advance();
  while (!window_.full() && !waiting_.empty()) {
    const Shared request = waiting_.front().lock();
    waiting_.pop_front();
    if (!request) continue;
    request->queued = false;
    if (requests_.contains(request->tid) && requests_[request->tid] == request) transmit_now(request);
  }
}

Duration Rpc::attempt_timeout(const Request& request) const {
  if (request.options.timeout > Duration::zero()) return request.options.timeout;
  // Handshakes and punch rounds make the other side work and wait: never sooner than the reference repeats them.
  const bool routed = !request.command.internal && request.command.command <= wire::kPeerHolepunch;
  if (!smoothed_rtt_ || request.sent > 2 || routed) return kAttemptTimeout;
  const Duration first = std::max(*smoothed_rtt_ + 4 * rtt_variance_, kMinAttemptTimeout);
  return std::min(request.sent * first, kAttemptTimeout);
}

void Rpc::sample_rtt(Duration rtt) {
  if (!smoothed_rtt_) {
    smoothed_rtt_ = rtt;
    rtt_variance_ = rtt / 2;
    return;
  }
  const Duration error = rtt > *smoothed_rtt_ ? rtt - *smoothed_rtt_ : *smoothed_rtt_ - rtt;
  rtt_variance_ += (error - rtt_variance_) / 4;  // RFC 6298
  *smoothed_rtt_ += (rtt - *smoothed_rtt_) / 8;
}

}  // namespace hg::dht
