#include "dht/node.h"

#include <algorithm>

#include "base/log.h"
#include "dht/node_internals.h"
#include "dht/private_address.h"

namespace hg::dht {
namespace {

constexpr Duration kTokenRotation = std::chrono::milliseconds(7500);  // npm dht-rpc 6.27: ten drains of 750 ms
constexpr size_t kMaxRpcDatagram = 2048;                              // libudx's receive buffer: what the reference can receive

std::vector<BootstrapEntry> parse_all(const std::vector<std::string>& list) {
  std::vector<BootstrapEntry> out;
  for (const std::string& text : list) {
    auto entry = parse_bootstrap(text);
    if (entry)
      out.push_back(std::move(*entry));
    else
      HG_LOG(kWarn, "dht", "{}", entry.error().message);
  }
  return out;
}

}  // namespace

Node::Internals::Internals(Node& node, const Tokens& fresh_tokens)
    : tokens(fresh_tokens),
      token_timer(node.runtime_.timers(),
                  [this, &node] {
                    tokens.rotate();
                    token_timer.arm(node.runtime_.now() + kTokenRotation);
                  }),
      tick_timer(node.runtime_.timers(), [&node] { node.on_tick(); }),
      silence_timer(node.runtime_.timers(), [&node] { node.on_silence_timer(); }),
      bootstrap(std::make_unique<Bootstrap>(node, parse_all(node.options_.bootstrap))) {}

Node::Node(Runtime& runtime, NodeOptions options)
    : runtime_(runtime),
      options_(std::move(options)),
      table_(runtime.rng().array<32>()),
      rpc_(std::make_unique<Rpc>(*this)),
      storage_(std::make_unique<Storage>(runtime, Storage::Options{.max_records = options_.max_records})),
      internals_(std::make_unique<Internals>(*this, Tokens::random(runtime.rng()))),
      firewalled_(options_.firewalled) {}

Node::~Node() {
  closed_ = true;
  internals_->bootstrap.reset();
  internals_->firewall_probe.reset();
  internals_->refresh_query.reset();
  for (const auto& socket : {server_socket_.get(), client_socket_.get()})
    if (socket != nullptr) socket->set_receiver(nullptr);
}

Expected<void> Node::start() {
  auto server = bind_server_socket();
  if (!server) return server.error();
  auto client = runtime_.network().open_udp({options_.bind_host, 0});
  if (!client) return client.error();
  server_socket_ = std::move(*server);
  client_socket_ = std::move(*client);
  server_socket_->set_receiver(this);
  client_socket_->set_receiver(this);
  if (options_.host) internals_->nat->add({*options_.host, server_port()});
  internals_->interfaces = interfaces_now(runtime_);
  internals_->token_timer.arm(runtime_.now() + kTokenRotation);
  start_ticks();
  internals_->bootstrap->kick_now();
  return {};
}

Expected<std::unique_ptr<UdpSocket>> Node::bind_server_socket() {
  Error last{"EADDRINUSE", "no port to bind"};
  for (uint16_t i = 0; options_.port != 0 && i < std::max<uint16_t>(options_.port_range, 1); ++i) {
    auto socket = runtime_.network().open_udp({options_.bind_host, static_cast<uint16_t>(options_.port + i)});
    if (socket) return socket;
    last = socket.error();
    if (!options_.any_port) return last;
  }
  return runtime_.network().open_udp({options_.bind_host, 0});
}

void Node::close(std::function<void()> done) {
  if (!closed_) {
    closed_ = true;
    internals_->tick_timer.disarm();
    internals_->silence_timer.disarm();
    internals_->token_timer.disarm();
    internals_->delayed_pings.clear();
    rpc_->fail(nullptr);
    internals_->bootstrap.reset();
    internals_->firewall_probe.reset();
    internals_->refresh_query.reset();
    if (server_socket_) server_socket_->set_receiver(nullptr);
    if (client_socket_) client_socket_->set_receiver(nullptr);
    notify([](NodeListener& l) { l.on_closed(); });
  }
  if (done) runtime_.post(std::move(done));
}

void Node::add_listener(NodeListener* listener) { internals_->listeners.push_back(listener); }

void Node::remove_listener(NodeListener* listener) {
  auto& listeners = internals_->listeners;
  if (internals_->notifying > 0)
    std::replace(listeners.begin(), listeners.end(), listener, static_cast<NodeListener*>(nullptr));
  else
    std::erase(listeners, listener);
}

void Node::on_ready(std::function<void()> callback) {
  if (ready_)
    runtime_.post(std::move(callback));
  else
    internals_->ready_callbacks.push_back(std::move(callback));
}

bool Node::knows_socket(const UdpSocket* socket) const {
  return socket != nullptr && (socket == server_socket_.get() || socket == client_socket_.get() || internals_->attached.contains(socket));
}

void Node::attach_socket(UdpSocket& socket) { internals_->attached.insert(&socket); }

void Node::detach_socket(UdpSocket& socket) {
  internals_->attached.erase(&socket);
  rpc_->fail(&socket);
}

void Node::on_datagram(UdpSocket& socket, const Endpoint& from, ByteView data) {
  if (filter_ && filter_(socket, from, data)) return;
  if (data.size() == 1) {
    if (probe_) probe_(socket, from);
    return;
  }
  handle_datagram(socket, from, data);
}

void Node::on_drained(UdpSocket& socket) {
  if (drained_) drained_(socket);
}

void Node::handle_datagram(UdpSocket& socket, const Endpoint& from, ByteView data) {
  if (closed_) return;
  NodeCounters& counters = rpc_->counters;
  ++counters.datagrams;
  if (from.port == 0 || data.size() > kMaxRpcDatagram || !wire::is_rpc(data)) {
    ++counters.malformed;
    return;
  }
  if (data[0] == wire::kRpcResponse) {
    auto message = wire::decode_rpc_response(data);
    if (message)
      rpc_->on_response(socket, from, std::move(*message));
    else
      ++counters.malformed;
    return;
  }
  auto message = wire::decode_rpc_request(data);
  if (!message) {
    ++counters.malformed;
    return;
  }
  IncomingRequest request;
  request.node = this;
  request.tid = message->tid;
  request.from = from;
  if (message->id && *message->id == node_id(from)) request.from_id = message->id;
  request.to = message->to;
  request.socket = &socket;
  request.via_server_socket = &socket == server_socket_.get();
  request.external = &socket != current_socket();
  request.internal = message->internal;
  request.command = message->command;
  request.target = message->target;
  request.token = message->token;
  request.value = std::move(message->value);
  on_request(request);
}

void Node::on_request(IncomingRequest& request) {
  NodeCounters& counters = rpc_->counters;
  ++counters.requests_received;
  if (request.token && !internals_->tokens.accepts(request.from.address, *request.token)) {
    ++counters.invalid_tokens;
    return request.error(wire::kInvalidToken, {.token = true});
  }
  // Who comes unasked says nothing of our address: its answer to a ping will.
  if (request.from_id) learn(request.from, request.from_id, request.to, false);
  if (request.internal) return on_internal(request);
  if (const auto handler = handlers_.find(request.command); handler != handlers_.end()) {
    const CommandHandler run = handler->second;
    return run(request);
  }
  if (!ephemeral_ && storage_->handle(request, table_.id())) return;
  ++counters.unknown_commands;
  request.error(wire::kUnknownCommand);
}

void Node::on_response(const Response& response) {
  const bool ours = response.socket == current_socket();
  learn(response.from, response.id, response.to, ours);
  if (ours) note_seen_at(response.from, response.to);
}

void Node::send_response(const IncomingRequest& request, const Endpoint& to, uint64_t error, std::optional<Bytes> value,
                         const ReplyOptions& options) {
  UdpSocket* socket = options.socket != nullptr ? options.socket : request.socket;
  if (closed_ || !knows_socket(socket) || to.port == 0) return;
  wire::RpcResponse message;
  message.tid = request.tid;
  message.to = to;
  if (!ephemeral_ && socket == server_socket_.get()) message.id = table_.id();
  if (options.token) message.token = internals_->tokens.issue(to.address);
  if (options.closer_nodes && request.target) message.closer_nodes = closest_nodes(*request.target);
  message.error = error;
  message.value = std::move(value);
  if (socket->send(to, wire::encode(message)) != SendResult::kSent) ++rpc_->counters.send_failures;
}

void Node::send_relay(const IncomingRequest& request, const Endpoint& to, Bytes value, UdpSocket* socket) {
  if (socket == nullptr) socket = request.socket;
  if (closed_ || !knows_socket(socket) || to.port == 0) return;
  wire::RpcRequest message;
  message.tid = request.tid;
  message.to = to;
  if (!ephemeral_ && socket == server_socket_.get()) message.id = table_.id();
  message.internal = request.internal;
  message.command = request.command;
  message.target = request.target;
  message.value = std::move(value);
  if (socket->send(to, wire::encode(message)) != SendResult::kSent) ++rpc_->counters.send_failures;
}

void IncomingRequest::reply(std::optional<Bytes> reply_value, const ReplyOptions& options) const {
  node->send_response(*this, from, wire::kRpcOk, std::move(reply_value), options);
}
void IncomingRequest::error(uint64_t code, const ReplyOptions& options) const {
  node->send_response(*this, from, code, std::nullopt, options);
}
void IncomingRequest::reply_to(const Endpoint& other, std::optional<Bytes> reply_value, UdpSocket* through) const {
  node->send_response(*this, other, wire::kRpcOk, std::move(reply_value), {.token = false, .closer_nodes = false, .socket = through});
}
void IncomingRequest::relay(const Endpoint& other, Bytes new_value, UdpSocket* through) const {
  node->send_relay(*this, other, std::move(new_value), through);
}

RequestHandle Node::request(const Endpoint& to, Command command, ResponseCallback callback, RequestOptions options) {
  return rpc_->send(to, std::move(command), std::move(callback), std::move(options));
}

RequestHandle Node::ping(const Endpoint& to, ResponseCallback callback, RequestOptions options) {
  return request(to, {.command = wire::kPing, .internal = true}, std::move(callback), std::move(options));
}

RequestHandle Node::delayed_ping(const Endpoint& to, Duration delay, ResponseCallback callback, RequestOptions options) {
  wire::Encoder delay_ms;
  delay_ms.uint32(static_cast<uint32_t>(to_ms(delay)));
  if (options.timeout == Duration::zero()) options.timeout = delay + std::chrono::seconds(1);
  return request(to, {.command = wire::kDelayedPing, .value = delay_ms.take(), .internal = true}, std::move(callback), std::move(options));
}

std::optional<Hash32> Node::id() const {
  if (ephemeral_) return std::nullopt;
  return table_.id();
}

std::optional<Endpoint> Node::external_address() const {
  if (!internals_->nat->known()) return std::nullopt;
  return internals_->nat->address();
}

std::optional<Endpoint> Node::remote_address() const {
  const auto seen = external_address();
  if (!seen || firewalled_ || !server_socket_ || seen->port != server_port()) return std::nullopt;
  return seen;
}

Health Node::health() const { return internals_->health; }
bool Node::bootstrap_unreachable() const { return internals_->bootstrap && internals_->bootstrap->unreachable(); }
const NodeCounters& Node::counters() const { return rpc_->counters; }
bool Node::has_bootstrap() const { return internals_->bootstrap && internals_->bootstrap->has_entries(); }
bool Node::busy() const { return rpc_->outstanding() > 2; }  // npm dht-rpc 6.27 _backgroundQuery

std::vector<Endpoint> Node::recent_nodes(size_t limit) const {
  std::vector<Endpoint> out;
  std::vector<Endpoint> more;
  std::unordered_set<uint32_t> hosts;
  const auto& order = table_.by_age();
  for (auto contact = order.rbegin(); contact != order.rend() && out.size() < limit; ++contact) {
    const bool first = is_private(contact->address.address) || hosts.insert(contact->address.address).second;
    (first ? out : more).push_back(contact->address);
  }
  more.resize(std::min(more.size(), limit - out.size()));
  out.insert(out.end(), more.begin(), more.end());
  return out;
}

std::vector<Endpoint> Node::closest_nodes(const Hash32& target, size_t k) const {
  std::vector<Endpoint> out;
  for (const Contact* contact : table_.closest(target, k)) out.push_back(contact->address);
  return out;
}

std::optional<Route> Node::find_route(const Hash32& target) { return storage_->find_route(target); }

std::shared_ptr<void> Node::resolve_bootstrap(std::function<void(const Endpoint&)> found, std::function<void()> done) {
  return internals_->bootstrap->resolve(std::move(found), std::move(done));
}

}  // namespace hg::dht
