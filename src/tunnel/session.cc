#include "tunnel/session.h"

#include <algorithm>

#include "tunnel/admission.h"

namespace hg::tunnel {

namespace {

constexpr std::string_view kLog = "session";
constexpr Duration kEndPatience = 5s;             // between the peer's end of stream and our destroy
constexpr uint32_t kHighHalf = 0x80000000;        // see fresh_id()
constexpr size_t kMaxMessageBeforeHello = 65536;  // a hello, and what another program may put into one message with it

std::string short_key(const PublicKey& key) { return to_hex(ByteView(key).first(4)); }

}  // namespace

Session::Session(const Context& context, std::unique_ptr<noise::Connection> connection, HelloVerifier& verifier, bool says_gateway,
                 int64_t hello_ms, SessionEvents& events)
    : context_(context),
      connection_(std::move(connection)),
      verifier_(verifier),
      events_(events),
      says_gateway_(says_gateway),
      since_(context.runtime.now()),
      hello_timer_(context.runtime.timers(), [this] {
        if (state_ == State::kHello) fail("HELLO_TIMEOUT", "no hello in time");
        if (ending_) connection_->destroy();
      }) {
  connection_->set_handler(this);
  connection_->set_unordered_handler([this](ByteView message) { handle_unordered(message); });
  connection_->set_answering_handler([this](bool answering) {
    if (ready()) events_.on_session_answering(*this, answering);
  });
  hello_timer_.arm(since_ + context_.limits.hello_timeout);
  reader_.set_limit(kMaxBeforeHello);
  connection_->limit_messages(kMaxMessageBeforeHello);
  send_frame(
      make_hello_frame(room(), says_gateway_, make_auth(context_.router, connection_->local_key(), connection_->remote_key(), hello_ms)));
}

Session::~Session() {
  *alive_ = false;
  state_ = State::kClosed;
  connection_->set_handler(nullptr);
  connection_->set_unordered_handler({});
  connection_->set_answering_handler({});
  drop_channels(CloseReason::kPeerLost);
}

void Session::send_frame(Buffer frame) {
  if (state_ == State::kClosed || failed_) return;
  if (!connection_->write(std::move(frame))) backed_up_ = true;
}

void Session::send_opening(Buffer frame) {
  if (backed_up_) opening_backlog_ += frame.size();
  send_frame(std::move(frame));
}

void Session::fail(const char* code, std::string message, log::Level level) {
  if (failed_ || state_ == State::kClosed) return;
  const std::string peer = short_key(remote_key());
  if (log::enabled(level) && context_.notices.due(peer + code, context_.runtime.now()))
    log::emit(level, kLog, fmt::format("peer {}: {} ({}), disconnecting", peer, message, code));
  failed_ = true;
  connection_->destroy();
}

void Session::destroy() {
  if (state_ != State::kClosed) connection_->destroy();
}

void Session::end() {
  if (state_ == State::kClosed || ending_) return;
  if (!channels_.empty()) send_frame(make_frame(room(), Action::kClose, 0));
  ending_ = true;
  drop_channels(CloseReason::kStopping);
  connection_->end();
}

void Session::set_remote_features(const Features& features) {
  remote_features_ = features;
  if (features.move) connection_->allow_moves();
}

void Session::send_routes(std::string_view json) {
  if (!ready() || ending_ || !answering() || json.size() + kMessageHeaderBytes > kMaxMessage) return;
  send_frame(make_frame(room(), Action::kAdvRoutes, 0, as_bytes(json)));
}

// ---------------------------------------------------------------------------------------------------- incoming

void Session::on_data(ByteView data) {
  if (failed_ || state_ == State::kClosed) return;
  if (!reader_.feed(data, [this](ByteView payload) { return dispatch(payload); })) {
    ++context_.counters.oversized_frames;
    fail("FRAME_TOO_LONG", ready() ? "a frame of more than 10 MiB" : "a long frame before its hello");
  }
}

void Session::on_end() {
  if (state_ == State::kClosed) return;
  ending_ = true;
  connection_->end();
  hello_timer_.arm(context_.runtime.now() + kEndPatience);
}

void Session::on_drain() {
  backed_up_ = false;
  datagram_backlog_ = 0;
  const bool was_full = !has_room();
  opening_backlog_ = 0;
  run_turns();
  if (was_full) events_.on_session_room(*this);  // behind a message of each channel, which a crowd of requests would leave nothing
  if (path_probe_) path_probe_->pump();
}

void Session::on_close(const std::optional<Error>& error) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  hello_timer_.disarm();
  events_.on_session_closed(*this, error);
}

/// False stops the reading of this connection.
bool Session::dispatch(ByteView payload) {
  const auto message = parse_message(payload);
  if (!message) {
    ++context_.counters.malformed_messages;
    return true;
  }
  if (state_ == State::kHello) {
    if (message->action == static_cast<uint8_t>(Action::kHello)) {
      handle_hello(*message);
    } else {
      ++context_.counters.before_hello;
    }
    return !failed_;
  }
  switch (static_cast<Action>(message->action)) {
    case Action::kHello:
      break;
    case Action::kOpen:
      handle_open(*message);
      break;
    case Action::kStream:
      handle_stream(*message);
      break;
    case Action::kClose:
      handle_close(*message);
      break;
    case Action::kAdvRoutes:
      if (!message->is_error) events_.on_session_routes(*this, message->body);
      break;
    case Action::kEnd:
      handle_end(*message);
      break;
    case Action::kCredit:
      handle_credit(*message);
      break;
    case Action::kProbe:
      if (message->is_error || !path_probe().on_message(message->body, context_.runtime.now())) ++context_.counters.malformed_messages;
      break;
    default:
      ++context_.counters.unknown_actions;
      HG_LOG(kDebug, kLog, "peer {}: unknown action {}", short_key(remote_key()), message->action);
  }
  return !failed_ && state_ != State::kClosed;
}

void Session::handle_hello(const Message& message) {
  const HelloVerdict verdict =
      verifier_.verify(message.body, connection_->remote_key(), connection_->local_key(), context_.runtime.wall_ms());
  if (verdict != HelloVerdict::kAccepted) ++context_.counters.hello_refused;
  switch (verdict) {
    case HelloVerdict::kMalformed:
      return fail("HELLO_MALFORMED", "a hello that is none");
    case HelloVerdict::kForged:
      events_.on_session_ban(*this, "its hello is not from this router");
      return fail("HELLO_FORGED", "its hello is not from this router");
    case HelloVerdict::kStale:
      return fail("HELLO_STALE", fmt::format("its clock differs from ours by {} s; set the clocks", verifier_.last_skew_ms() / 1000),
                  log::Level::kWarn);
    case HelloVerdict::kReplayed:
      return fail("HELLO_REPLAYED", "its hello was used before");
    case HelloVerdict::kAccepted:
      break;
  }
  clock_skew_ms_ = verifier_.last_skew_ms();
  remote_is_gateway_ = message.channel != 0;
  if (!says_gateway_ && !remote_is_gateway_) {
    events_.on_session_ban(*this, "both are providers");
    return fail("BOTH_PROVIDERS", "both are providers", log::Level::kDebug);  // as it should be: they share a service
  }
  state_ = State::kReady;
  met_ = true;
  hello_timer_.disarm();
  reader_.set_limit(kMaxMessage);
  connection_->limit_messages(SIZE_MAX);
  events_.on_session_ready(*this);
}

void Session::handle_open(const Message& message) {
  Channel* channel = find(message.channel);
  if (channel == nullptr) {
    if (message.is_error) return events_.on_session_stray_error(*this, message.error);
    // What a provider confirms after we gave up is no request.
    if (!remote_is_gateway_ || is_own_id(message.channel) || message.channel == 0) {
      ++context_.counters.unknown_channels;
      return;
    }
    return handle_request(message);
  }
  ChannelOpener* opener = channel->opener_;
  if (opener == nullptr) {
    if (message.is_error) handle_close(message);
    return;
  }
  if (message.is_error) {
    detach(*channel);
    return opener->on_open_refused(message.error);
  }
  const auto body = parse_open(message.body);
  opener->on_open_confirmed(body ? body->json : std::string_view());
}

void Session::handle_request(const Message& message) {
  const auto request = parse_open(message.body);
  if (!request) {
    ++context_.counters.malformed_messages;
    return send_frame(make_error_frame(room(), Action::kOpen, message.channel, "Invalid open request"));
  }
  if (channels_.size() >= context_.limits.max_channels_per_peer) {
    ++context_.counters.refused_limit;
    return send_frame(make_error_frame(room(), Action::kOpen, message.channel, "Too many channels"));
  }
  auto channel = std::make_unique<Channel>(request->protocol, nullptr);
  channel->id_ = message.channel;
  channel->session_ = this;
  channel->gate_port_ = request->gate_port;
  const OpenTerms asked = parse_terms(request->json);
  if (request->protocol == Protocol::kTcp && asked.window != 0) {
    channel->flow_ = true;
    channel->send_credit_ = asked.window;
    set_window(*channel, std::max<size_t>(initial_window(), kEarlyBytes));
  }
  if (request->protocol == Protocol::kUdp && asked.datagram != 0)
    channel->max_datagram_ = std::clamp<size_t>(asked.datagram, kMaxStreamBody, kMaxUdpPayload);
  channel->unordered_ = request->protocol == Protocol::kUdp && asked.unordered;
  channels_.emplace(channel->id_, channel.get());
  ++context_.counters.channels_open;
  events_.on_session_open_request(*this, std::move(channel), *request);
}

void Session::handle_stream(const Message& message) {
  Channel* channel = find(message.channel);
  if (channel == nullptr || channel->end_received_) {
    ++context_.counters.unknown_channels;
    return;
  }
  if (message.is_error) return handle_close(message);
  if (channel->opener_ != nullptr) {  // ahead of the confirmation: the channel may yet be another provider's
    ++context_.counters.unknown_channels;
    return;
  }
  const ByteView data = message.body;
  channel->count_received(data.size());
  if (channel->protocol_ == Protocol::kTcp) {
    if (data.empty()) return;
    if (channel->flow_ && data.size() > channel->receive_credit_) {
      ++context_.counters.window_overruns;
      ChannelHandler* handler = channel->handler_;
      close_from_here(*channel);
      if (handler != nullptr) handler->on_channel_closed(CloseReason::kProtocol);
      return;
    }
    account_received(*channel, data.size());
  } else {
    channel->last_datagram_ = context_.runtime.now();
  }
  if (channel->handler_ != nullptr) channel->handler_->on_channel_data(data);
}

/// A datagram may overtake what was sent before it on the stream, its channel's opening or closing included: then it counts as lost.
void Session::handle_unordered(ByteView message) {
  const auto datagram = parse_unordered_datagram(message);
  Channel* channel = ready() && datagram ? find(datagram->channel) : nullptr;
  if (channel == nullptr || !channel->unordered_ || channel->state_ != Channel::State::kOpen || channel->handler_ == nullptr) {
    ++context_.counters.datagrams_astray;
    return;
  }
  channel->count_received(datagram->body.size());
  channel->last_datagram_ = context_.runtime.now();
  channel->handler_->on_channel_data(datagram->body);
}

void Session::handle_close(const Message& message) {
  if (message.channel == 0) return drop_channels(CloseReason::kStopping);
  Channel* channel = find(message.channel);
  if (channel == nullptr) return;
  ChannelHandler* handler = channel->handler_;
  ChannelOpener* opener = channel->opener_;
  // Who has "flow" says end before close, unless the socket broke. A TypeScript peer may leave it out.
  const bool aborted = channel->flow_ && !channel->end_received_;
  detach(*channel);
  if (opener != nullptr) return opener->on_open_refused("closed by the provider");
  if (handler != nullptr) handler->on_channel_closed(aborted ? CloseReason::kAborted : CloseReason::kRemote);
}

void Session::handle_end(const Message& message) {
  Channel* channel = find(message.channel);
  if (channel == nullptr || channel->end_received_) return;
  if (channel->opener_ != nullptr) {
    ++context_.counters.unknown_channels;
    return;
  }
  channel->end_received_ = true;
  if (channel->handler_ != nullptr) channel->handler_->on_channel_end();
}

void Session::handle_credit(const Message& message) {
  Channel* channel = find(message.channel);
  if (channel == nullptr || !channel->flow_ || message.is_error || message.body.size() < 4) {
    ++context_.counters.unknown_channels;
    return;
  }
  channel->send_credit_ += load_u32_be(message.body.data());
  if (!channel->wants_to_send_ || channel->send_credit_ == 0) return;
  channel->wants_to_send_ = false;
  if (backed_up_) {
    enqueue_turn(*channel);
  } else {
    channel->handler_->on_channel_sendable();
  }
}

// ---------------------------------------------------------------------------------------------------- channels

Channel* Session::find(uint32_t id) const {
  const auto found = channels_.find(id);
  return found == channels_.end() ? nullptr : found->second;
}

// Ids count up from 1. Where both sides may open channels (both said gateway, and the other one offers routes), each keeps to its own half
// of the numbers: towards a peer of our kind the larger key takes the upper half, towards any other we take it, since that one counts
// from 1.
bool Session::is_own_id(uint32_t id) const {
  const bool both_open = remote_is_gateway_;
  const bool upper = both_open && (!remote_features_.flow || connection_->local_key() > connection_->remote_key());
  return opened_any_ && both_open && ((id & kHighHalf) != 0) == upper;
}

uint32_t Session::fresh_id() {
  const bool upper = remote_is_gateway_ && (!remote_features_.flow || connection_->local_key() > connection_->remote_key());
  uint32_t id = 0;
  do {
    id = ++context_.last_channel_id;
    if (remote_is_gateway_) id = upper ? id | kHighHalf : id & ~kHighHalf;
  } while (id == 0 || channels_.contains(id));
  return id;
}

std::optional<uint32_t> Session::attach_opening(Channel& channel, ChannelOpener& opener, const OpenTerms& asked) {
  if (!ready() || failed_ || ending_ || channels_.size() >= context_.limits.max_channels_per_peer) return std::nullopt;
  opened_any_ = true;
  channel.id_ = fresh_id();
  channel.session_ = this;
  channel.opener_ = &opener;
  set_window(channel, asked.window);
  channels_.emplace(channel.id_, &channel);
  ++context_.counters.channels_open;
  return channel.id_;
}

void Session::abandon_opening(Channel& channel) {
  send_frame(make_frame(room(), Action::kClose, channel.id_));
  detach(channel);
}

void Session::begin_early(Channel& channel, const EarlyData& kept) {
  channel.early_ = true;
  channel.send_credit_ = kept.behind().empty() ? kEarlyBytes : 0;
  repeat(channel, kept.ahead());
}

void Session::repeat(Channel& channel, std::span<const Bytes> said) {
  say(channel, said);
  if (channel.end_sent_) send_frame(make_frame(room(), Action::kEnd, channel.id_));
}

void Session::say(Channel& channel, std::span<const Bytes> pieces) {
  channel.send_credit_ -= std::min<uint64_t>(channel.send_credit_, bytes_in(pieces));
  for (const Bytes& data : pieces) send_opening(make_frame(room(), Action::kStream, channel.id_, data));
}

OpenTerms Session::terms_to_ask(Protocol protocol) const {
  OpenTerms terms;
  if (protocol == Protocol::kTcp && remote_features_.flow) terms.window = initial_window();
  if (protocol == Protocol::kUdp && remote_features_.big_datagrams) terms.datagram = kMaxUdpPayload;
  terms.unordered = protocol == Protocol::kUdp && remote_features_.unordered_datagrams;
  return terms;
}

void Session::complete_opening(Channel& channel, const OpenTerms& asked, const OpenTerms& granted, size_t used) {
  channel.opener_ = nullptr;
  channel.state_ = Channel::State::kOpen;
  channel.early_ = channel.wants_to_send_ = false;
  if (asked.window != 0 && granted.window != 0) {
    channel.flow_ = true;
    channel.send_credit_ = granted.window - std::min<size_t>(granted.window, used);
  } else {
    set_window(channel, 0);
  }
  if (asked.datagram != 0 && granted.datagram != 0)
    channel.max_datagram_ = std::clamp<size_t>(granted.datagram, kMaxStreamBody, kMaxUdpPayload);
  channel.unordered_ = asked.unordered && granted.unordered;
  channel.last_datagram_ = context_.runtime.now();
  ++context_.counters.channels_opened;
}

void Session::accept(Channel& channel) {
  OpenTerms granted;
  if (channel.flow_) granted.window = static_cast<uint32_t>(channel.window_);
  if (channel.max_datagram_ != kMaxStreamBody) granted.datagram = kMaxUdpPayload;
  granted.unordered = channel.unordered_;
  channel.last_datagram_ = context_.runtime.now();
  channel.state_ = Channel::State::kOpen;
  ++context_.counters.channels_opened;
  send_frame(make_open_frame(room(), channel.id_, channel.gate_port_, channel.protocol_, encode_terms(granted)));
}

void Session::refuse(Channel& channel, std::string_view why) {
  send_frame(make_error_frame(room(), Action::kOpen, channel.id_, why));
  detach(channel);
}

void Session::detach(Channel& channel) {
  channels_.erase(channel.id_);
  channel.admission_.reset();
  dequeue_turn(channel);
  if (channel.over_limit_) --over_limit_channels_;
  if (!channel.flow_) uncredited_ -= channel.unconsumed_;
  set_window(channel, 0);
  channel.over_limit_ = channel.early_ = channel.end_received_ = false;
  channel.unconsumed_ = channel.since_grant_ = 0;
  channel.receive_credit_ = 0;
  channel.session_ = nullptr;
  if (channel.opener_ == nullptr) channel.state_ = Channel::State::kClosed;
  --context_.counters.channels_open;
  update_pause();
  events_.on_session_channel_released(*this);
}

void Session::close_from_here(Channel& channel) {
  if (channel.state_ == Channel::State::kOpening) return refuse(channel, "Closed");
  send_frame(make_frame(room(), Action::kClose, channel.id_));
  detach(channel);
}

TimePoint Session::close_quiet_flows(Duration quiet) {
  const TimePoint now = context_.runtime.now();
  TimePoint next = TimePoint::max();
  std::vector<uint32_t> over;
  for (const auto& [id, channel] : channels_) {
    if (channel->protocol_ != Protocol::kUdp || channel->state_ != Channel::State::kOpen) continue;
    const TimePoint at = channel->last_datagram_ + quiet;
    if (at <= now) {
      over.push_back(id);
    } else {
      next = std::min(next, at);
    }
  }
  for (const uint32_t id : over)
    if (Channel* channel = find(id)) channel->close_for(CloseReason::kStopping);
  return next;
}

void Session::drop_channels(CloseReason reason) {
  // Openers may attach new channels meanwhile, those are not meant.
  std::vector<uint32_t> ids;
  ids.reserve(channels_.size());
  for (const auto& [id, channel] : channels_) ids.push_back(id);
  for (const uint32_t id : ids) {
    Channel* channel = find(id);
    if (channel == nullptr) continue;
    ChannelHandler* handler = channel->handler_;
    ChannelOpener* opener = channel->opener_;
    detach(*channel);
    if (opener != nullptr) {
      state_ == State::kReady && !ending_ ? opener->on_open_refused("closed by the provider") : opener->on_open_session_lost();
    } else if (handler != nullptr) {
      handler->on_channel_closed(reason);
    }
  }
}

}  // namespace hg::tunnel
