// Hot path, in the order of the flow: write → seal_and_send; on_data → process → on_message.
#include "noise/secure_connection.h"

#include <algorithm>

namespace hg::noise {
namespace {

void put_u24(uint8_t* out, size_t value) {
  out[0] = static_cast<uint8_t>(value);
  out[1] = static_cast<uint8_t>(value >> 8);
  out[2] = static_cast<uint8_t>(value >> 16);
}

}  // namespace

SecureConnection::SecureConnection(Runtime& runtime, std::unique_ptr<udx::Stream> stream, const SessionKeys& keys,
                                   std::shared_ptr<void> attachment)
    : runtime_(runtime),
      attachment_(std::move(attachment)),
      stream_(std::move(stream)),
      is_initiator_(keys.is_initiator),
      remote_key_(keys.remote_key),
      local_key_(keys.local_key),
      handshake_hash_(keys.handshake_hash),
      rx_(keys.rx),
      opened_at_(runtime.now()),
      last_write_(opened_at_),
      tick_(runtime.timers(), [this] { on_tick(); }),
      resume_(runtime.timers(), [this] { continue_reading(); }) {
  stream_->set_handler(this);
  reader_.set_limit(kHeaderUnit);
  send_header(keys.tx);
  arm_tick();
  stream_->resume_reading();
}

SecureConnection::~SecureConnection() {
  crypto::wipe(rx_);
  if (!closed_) {
    stream_->destroy();
    if (close_observer_) close_observer_(Error{"ECONNABORTED", "the connection was let go"});
  }
  stream_.reset();
}

void SecureConnection::send_header(const ByteArray<32>& tx) {
  const auto header = runtime_.rng().array<crypto::SecretStreamCipher::kHeaderSize>();
  encrypt_.emplace(tx, header);
  Buffer unit = Buffer::with_room(FrameReader::kLengthBytes + stream_->write_headroom(), kHeaderUnit + stream_->write_tailroom());
  unit.append(stream_id(handshake_hash_, is_initiator_));
  unit.append(header);
  put_u24(unit.prepend(FrameReader::kLengthBytes), kHeaderUnit);
  stream_->write(std::move(unit));
}

bool SecureConnection::write(Buffer bytes) {
  if (ended_ || destroyed_ || closed_) return true;
  last_write_ = runtime_.now();
  if (bytes.size() <= kMaxMessage) return seal_and_send(std::move(bytes));
  bool wants_more = true;
  for (ByteView rest = bytes.view(); !rest.empty();) {
    const ByteView part = rest.first(std::min(rest.size(), kMaxMessage));
    wants_more = seal_and_send(Buffer::copy_of(part));
    rest = rest.subspan(part.size());
  }
  return wants_more;
}

bool SecureConnection::seal_and_send(Buffer message) {
  if (message.headroom() < write_headroom() || message.tailroom() < write_tailroom()) {
    Buffer roomy = Buffer::with_room(write_headroom(), message.size() + write_tailroom());
    roomy.append(message.view());
    message = std::move(roomy);
  }
  message.prepend(1);
  message.grow(kTailroom);
  encrypt_->seal(message.span());
  const size_t length = message.size();
  put_u24(message.prepend(FrameReader::kLengthBytes), length);
  messages_sent_++;
  const bool wants_more = stream_->write(std::move(message));
  if (movable() && tick_.deadline() > last_write_ + Liveness::kOwedFor) tick_.arm(last_write_ + Liveness::kOwedFor);
  return wants_more;
}

void SecureConnection::limit_messages(size_t bytes) {
  message_limit_ = std::min(bytes, kMaxMessage);
  if (decrypt_) reader_.set_limit(message_limit_ + crypto::SecretStreamCipher::kOverhead);
}

void SecureConnection::on_data(ByteView data) { process(data); }

void SecureConnection::process(ByteView bytes) {
  while (!destroyed_ && !closed_) {
    if (decrypt_ && blocked()) return stash(bytes);
    const auto unit = reader_.next(bytes);
    if (reader_.too_long()) return refuse_unit();
    if (!unit) return;
    if (decrypt_) {
      on_message(*unit);
    } else {
      on_header(*unit);
    }
  }
}

void SecureConnection::refuse_unit() {
  if (!decrypt_) return refuse_header();
  destroy(Error{"MESSAGE_TOO_LONG", "a message is longer than it may be"});
}

void SecureConnection::on_header(ByteView unit) {
  const Hash32 expected = stream_id(handshake_hash_, !is_initiator_);
  if (unit.size() != kHeaderUnit || !crypto::equal_secret(unit.first(expected.size()), expected)) return refuse_header();
  ByteArray<crypto::SecretStreamCipher::kHeaderSize> header;
  std::copy_n(unit.begin() + expected.size(), header.size(), header.begin());
  decrypt_.emplace(rx_, header);
  limit_messages(message_limit_);
  crypto::wipe(rx_);
  stream_->set_receive_window(udx::StreamOptions{}.receive_window);
  open_pending_ = true;
  if (handler_ != nullptr) deliver_open();
}

void SecureConnection::refuse_header() { destroy(Error{"INVALID_HEADER", "the other side's header does not belong to this handshake"}); }

void SecureConnection::deliver_open() {
  open_pending_ = false;
  handler_->on_open();
}

void SecureConnection::on_message(MutableBytes unit) {
  const auto plain = decrypt_->open(unit);
  if (!plain) return destroy(Error{"INVALID_MESSAGE", "a message is too short or forged"});
  messages_received_++;
  if (!plain->empty()) handler_->on_data(*plain);
}

void SecureConnection::on_data_end_of_burst() {
  if (handler_ != nullptr && decrypt_ && !destroyed_ && !closed_) handler_->on_data_end_of_burst();
}

void SecureConnection::stash(ByteView bytes) {
  append_bytes(stash_, bytes);
  if (stream_paused_) return;
  stream_paused_ = true;
  stream_->pause_reading();
}

void SecureConnection::set_handler(hg::ByteStreamHandler* handler) {
  handler_ = handler;
  if (handler_ != nullptr) resume_.arm(runtime_.now());
}

void SecureConnection::pause_reading() {
  paused_ = true;
  if (!stream_paused_ && decrypt_) {
    stream_paused_ = true;
    stream_->pause_reading();
  }
}

void SecureConnection::resume_reading() {
  paused_ = false;
  resume_.arm(runtime_.now());
}

void SecureConnection::continue_reading() {
  if (handler_ != nullptr && close_undelivered_) {
    close_undelivered_ = false;
    return handler_->on_close(std::optional<Error>(failure_));
  }
  if (handler_ != nullptr && open_pending_ && !destroyed_ && !closed_) deliver_open();
  if (blocked()) return;
  if (!stash_.empty()) {
    const Bytes held = std::exchange(stash_, {});
    process(held);
    if (!blocked()) on_data_end_of_burst();
  }
  if (blocked() || !stash_.empty()) return;
  if (close_pending_) return deliver_close();
  if (remote_end_pending_) return deliver_end();
  if (stream_paused_ && !closed_) {
    stream_paused_ = false;
    stream_->resume_reading();
  }
}

void SecureConnection::on_end() {
  remote_end_pending_ = true;
  if (!blocked() && stash_.empty()) deliver_end();
}

void SecureConnection::deliver_end() {
  remote_end_pending_ = false;
  if (destroyed_) return;
  if (handler_ != nullptr) handler_->on_end();
  end();
}

void SecureConnection::on_drain() {
  if (handler_ != nullptr && !destroyed_ && !ended_) handler_->on_drain();
}

void SecureConnection::end() {
  if (ended_ || destroyed_ || closed_) return;
  ended_ = true;
  stream_->end();
}

void SecureConnection::destroy() {
  if (destroyed_ || closed_) return;
  destroyed_ = true;
  stash_.clear();
  tick_.disarm();
  stream_->destroy();
}

void SecureConnection::destroy(Error error) {
  if (destroyed_ || closed_) return;
  failure_ = std::move(error);
  destroy();
}

void SecureConnection::on_close(const std::optional<Error>& error) {
  if (!failure_) failure_ = error;
  if (!failure_ && !destroyed_ && !stash_.empty()) {
    close_pending_ = true;  // a graceful end must not overtake data that is still to be read
    tick_.disarm();
    return;
  }
  deliver_close();
}

void SecureConnection::deliver_close() {
  close_pending_ = false;
  closed_ = true;
  tick_.disarm();
  resume_.disarm();
  if (close_observer_) std::exchange(close_observer_, {})(failure_);
  close_undelivered_ = handler_ == nullptr;
  if (handler_ != nullptr) handler_->on_close(std::optional<Error>(failure_));
}

void SecureConnection::send_keepalive() { write(Buffer()); }

void SecureConnection::on_tick() {
  const TimePoint now = runtime_.now();
  if (!ended_ && now - last_write_ >= kKeepAlive) send_keepalive();
  check_liveness();
  follow_peer();
  forget_former_paths(now);
  if (messages_received_ == messages_at_last_tick_) reader_.release();
  messages_at_last_tick_ = messages_received_;
  if (!destroyed_) arm_tick();
}

Liveness::View SecureConnection::liveness_view() const {
  return {runtime_.now(), std::max(stream_->last_heard(), opened_at_), stream_->owed_since(),
          movable() ? stream_->stats().smoothed_rtt : Duration::zero()};
}

void SecureConnection::check_liveness() {
  const bool was_silent = liveness_.silent();
  switch (liveness_.step(liveness_view())) {
    case Liveness::Step::kNone:
      break;
    case Liveness::Step::kDead:
      return destroy(Error{"ETIMEDOUT", "nothing was heard from the other side"});
    case Liveness::Step::kAsk:
      stream_->probe_peer();
      break;
    case Liveness::Step::kSilent:
      stream_->probe_peer();
      relocated_ = false;
      silent_since_ = runtime_.now();
      tell(PathEvent::kSilent);
      break;
  }
  if (was_silent && !liveness_.silent()) on_answering_again();
}

void SecureConnection::arm_tick() {
  TimePoint at = liveness_.next(liveness_view());
  if (!ended_) at = std::min(at, last_write_ + kKeepAlive);
  const auto decision = follower_ ? follower_->next(stream_->stats().smoothed_rtt) : std::nullopt;
  tick_.arm(decision ? std::min(at, *decision) : at);
}

ConnectionStats SecureConnection::stats() const {
  const udx::StreamStats s = stream_->stats();
  ConnectionStats out;
  out.remote = stream_->remote();
  out.smoothed_rtt = s.smoothed_rtt;
  out.bytes_sent = s.bytes_sent;
  out.bytes_received = s.bytes_received;
  out.packets_sent = s.packets_sent;
  out.packets_retransmitted = s.packets_retransmitted;
  out.path_mtu = s.mtu;
  out.relayed = relayed();
  out.relay = relay_;
  return out;
}

UnorderedBox& SecureConnection::unordered() {
  if (!unordered_)
    unordered_ = std::make_unique<UnorderedBox>(handshake_hash_, is_initiator_, runtime_.rng().array<UnorderedBox::kCounter>());
  return *unordered_;
}

bool SecureConnection::send_unordered(ByteView message) {
  if (destroyed_ || closed_) return false;
  return stream_->send_message(unordered().seal(message));
}

void SecureConnection::set_unordered_handler(UnorderedHandler handler) {
  unordered_handler_ = std::move(handler);
  stream_->set_message_handler([this](ByteView envelope) { on_unordered(envelope); });
}

void SecureConnection::on_unordered(ByteView envelope) {
  if (destroyed_ || closed_) return;
  const auto plain = unordered().open(envelope);
  if (!plain) return;
  const auto about_path = movable() ? PathMessage::decode(*plain) : std::nullopt;
  if (about_path) return on_path_message(*about_path);
  if (unordered_handler_) unordered_handler_(*plain);
}

}  // namespace hg::noise
