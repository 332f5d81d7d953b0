#include "udx/stream.h"

#include <algorithm>
#include <array>

#include "udx/cc/bbr.h"

namespace hg::udx {

namespace {

constexpr Duration kIdleRelease = 2s;  // memory of an idle stream goes back after this
constexpr Duration kQueueTime = 4ms;   // unsent data at the path's rate; a busy machine's loop may be away for some milliseconds
constexpr size_t kLeastQueue = 8192;   // bytes
constexpr size_t kLeastWrite = 4096;   // bytes; the tunnel adds about 35 to each
constexpr size_t kFirstQueue = 65536;  // bytes, before the path is known

}  // namespace

StreamImpl::StreamImpl(MuxCore& core, uint32_t id, const StreamOptions& options)
    : core_(core),
      id_(id),
      options_(options),
      rx_(core.blocks, options.receive_window, options.first_seq),
      tx_(core.batch, std::make_unique<cc::Bbr>(core.runtime.rng().u32()), options.dead_after, options.first_seq),
      timer_(core.runtime.timers(), [this] { on_timer(); }),
      pace_timer_(core.runtime.timers(), [this] { core_.mark_dirty(*this); }),
      advertised_(rx_.window()) {
  update_reading();
  core_.add(*this);
}

StreamImpl::~StreamImpl() {
  if (connected()) close(std::nullopt, wire::kUdxDestroy, true);
  core_.forget(*this);
}

// ── application side ──

bool StreamImpl::write(Buffer bytes) {
  if (closed_ || tx_.end_wanted()) return true;
  tx_.write(std::move(bytes));
  core_.mark_dirty(*this);
  if (tx_.queued_bytes() < high_water()) return true;
  drain_wanted_ = true;
  return false;
}

// What waits unsent delays everything written later and is lost effort when its channel is aborted: as much as keeps the path busy
// until the application's next turn.
size_t StreamImpl::high_water() const {
  const size_t usual = tx_.bytes_within(kQueueTime).value_or(kFirstQueue);
  const size_t wanted = std::clamp(tx_.room_behind_hole(), usual / 4, usual);
  return std::clamp(wanted, std::min(kLeastQueue, options_.write_high_water), options_.write_high_water);
}

size_t StreamImpl::write_size() const { return std::max(tx_.bytes_within(kQueueTime / 2).value_or(kFirstQueue), kLeastWrite); }

void StreamImpl::set_handler(ByteStreamHandler* handler) {
  handler_ = handler;
  update_reading();
  if (closed_ && !close_notified_) core_.mark_dirty(*this);
}

void StreamImpl::pause_reading() {
  reading_paused_ = true;
  update_reading();
}

void StreamImpl::resume_reading() {
  reading_paused_ = false;
  update_reading();
}

void StreamImpl::update_reading() {
  const bool pause = reading_paused_ || handler_ == nullptr;
  if (pause == rx_.paused()) return;
  if (pause) {
    rx_.pause();
    return;
  }
  rx_.resume();
  if (!closed_) core_.mark_dirty(*this);
}

void StreamImpl::set_receive_window(size_t bytes) {
  rx_.set_window(bytes);
  if (!closed_) core_.mark_dirty(*this);
}

void StreamImpl::end() {
  if (closed_ || tx_.end_wanted()) return;
  tx_.end();
  core_.mark_dirty(*this);
}

void StreamImpl::destroy() {
  if (!closed_) close(std::nullopt, wire::kUdxDestroy, true);
}

void StreamImpl::connect(UdpSocket& socket, const Endpoint& remote, uint32_t remote_id) {
  if (closed_) return;
  send_messages();
  tx_.set_place({&socket, remote, remote_id});
  place_heard_ = false;
  core_.mark_dirty(*this);
}

void StreamImpl::change_remote(UdpSocket& socket, const Endpoint& remote, uint32_t remote_id, std::function<void()> done) {
  if (closed_) return;
  send_messages();
  on_remote_changed_ = std::move(done);
  tx_.change_place({&socket, remote, remote_id}, std::make_unique<cc::Bbr>(core_.runtime.rng().u32()));
  place_heard_ = false;
  core_.mark_dirty(*this);
}

void StreamImpl::relocate(UdpSocket& socket, const Endpoint& remote, uint32_t remote_id) {
  if (closed_) return;
  send_messages();
  core_.forget_waiting(*this);
  tx_.relocate({&socket, remote, remote_id}, std::make_unique<cc::Bbr>(core_.runtime.rng().u32()), core_.runtime.now());
  place_heard_ = false;
  pace_timer_.disarm();
  timer_.disarm();
  core_.mark_dirty(*this);
}

void StreamImpl::retry_now() {
  if (!connected()) return;
  tx_.retry_now(core_.runtime.now());
  timer_.arm(core_.runtime.now());
}

bool StreamImpl::send_message(ByteView message) {
  if (!connected() || message.size() > tx_.mtu().max_payload()) return false;
  const size_t size = wire::kUdxHeaderSize + message.size();
  if (!messages_.fits(size)) send_messages();
  const MutableBytes datagram = messages_.add(size);
  wire::encode_udx_header(message_header(), datagram.data());
  std::copy(message.begin(), message.end(), datagram.begin() + wire::kUdxHeaderSize);
  core_.mark_dirty(*this);
  return true;
}

void StreamImpl::send_messages() {
  if (!messages_.empty()) messages_.send(*tx_.place().socket, tx_.place().remote);
}

bool StreamImpl::send_message_to(UdpSocket& socket, const Endpoint& to, ByteView message) {
  if (!connected() || message.size() > tx_.mtu().max_payload()) return false;
  ByteArray<wire::kUdxHeaderSize> header;
  wire::encode_udx_header(message_header(), header.data());
  const std::array<ByteView, 2> slices{ByteView(header), message};
  socket.send_segments(to, slices, header.size() + message.size());
  return true;
}

wire::UdxHeader StreamImpl::message_header() const {
  return {wire::kUdxMessage, 0, tx_.place().stream_id, rx_.window(), tx_.next_seq(), rx_.ack()};
}

void StreamImpl::probe_peer() {
  if (connected()) send_bare(wire::kUdxHeartbeat);
}

StreamStats StreamImpl::stats() const {
  StreamStats stats;
  tx_.fill(stats);
  stats.bytes_received = bytes_received_;
  stats.packets_received = packets_received_;
  return stats;
}

// ── network side ──

bool StreamImpl::admits(UdpSocket& socket, const Endpoint& from) {
  if (&socket == tx_.place().socket || (tx_.changing_place() && &socket == tx_.old_place().socket)) return true;
  const Firewall firewall = firewall_;  // it may set another one
  return firewall && firewall(socket, from) && !closed_;
}

void StreamImpl::on_packet(UdpSocket& socket, const Endpoint& from, const wire::UdxPacket& packet) {
  const TimePoint now = core_.runtime.now();
  last_heard_ = now;
  ++packets_received_;
  if (!place_heard_) note_arrival(socket, from, packet);
  if (const auto observer = observer_) observer(socket, from, plausible(packet.header));
  if (closed_) return;
  core_.mark_dirty(*this);
  const uint8_t flags = packet.header.flags;
  if (flags & wire::kUdxHeartbeat) {
    ack_needed_ = true;
    tx_.heard(now);
    return;
  }
  const bool current = seq_at_or_before(rx_.ack(), packet.header.seq);
  if (flags & (wire::kUdxData | wire::kUdxEnd)) on_data_packet(packet);
  if (closed_) return;
  if (current && (flags & wire::kUdxDestroy)) {
    close(Error{"ECONNRESET", "the peer destroyed the stream"}, 0, false);
    return;
  }
  if (flags & wire::kUdxMessage) {
    if (const auto handler = on_message_) handler(packet.payload);
    if (closed_) return;
  }
  const Sender::PacketResult result = tx_.on_packet(packet, now);
  tx_.heard(now);
  // A peer learns from this one that its acknowledgement of our END arrived (libudx ae8bff7 does the same).
  if (result.end_acked && !end_notified_) ack_needed_ = true;
}

void StreamImpl::note_arrival(UdpSocket& socket, const Endpoint& from, const wire::UdxPacket& packet) {
  place_heard_ = &socket == tx_.place().socket && from == tx_.place().remote;
  ack_credit_ += wire::kUdxHeaderSize + packet.payload.size();
}

/// Whether the peer could have sent these numbers, give or take what is under way.
bool StreamImpl::plausible(const wire::UdxHeader& header) const {
  const auto near = [](Seq a, Seq b) { return a - b <= Receiver::kMaxSpan || b - a <= Receiver::kMaxSpan; };
  return near(header.seq, rx_.ack()) && near(header.ack, tx_.next_seq()) && seq_at_or_before(header.ack, tx_.next_seq());
}

void StreamImpl::on_data_packet(const wire::UdxPacket& packet) {
  ack_needed_ = true;
  const bool end = packet.header.flags & wire::kUdxEnd;
  const ByteView payload = packet.header.flags & wire::kUdxData ? packet.payload : ByteView();
  if (rx_.accept(packet.header.seq, end, payload) == Receiver::Verdict::kDirect) deliver(payload);
  deliver_kept();
}

void StreamImpl::deliver(ByteView payload) {
  if (payload.empty()) return;
  bytes_received_ += payload.size();
  delivered_ = true;
  handler_->on_data(payload);
}

void StreamImpl::deliver_kept() {
  while (!closed_) {
    const auto payload = rx_.next();
    if (!payload) return;
    deliver(*payload);
    if (!closed_) rx_.pop();
  }
}

void StreamImpl::flush_closed() {
  if (close_notified_ || handler_ == nullptr) return;
  close_notified_ = true;
  rx_.drop_all();
  handler_->on_close(close_error_);
}

void StreamImpl::flush() {
  if (closed_) return flush_closed();
  deliver_kept();
  if (delivered_ && !closed_) {
    delivered_ = false;
    if (handler_ != nullptr) handler_->on_data_end_of_burst();
  }
  if (!closed_ && rx_.at_end() && !end_notified_ && handler_ != nullptr) {
    end_notified_ = true;
    handler_->on_end();
  }
  if (closed_ || !connected()) return;
  send_messages();
  const Sender::SendReport report = tx_.transmit(core_.runtime.now(), {rx_.ack(), rx_.window()});
  if (report.packets > 0) {
    advertised_ = rx_.window();
    if (!rx_.has_gaps()) ack_needed_ = false;
  }
  if (ack_needed_ || window_update_due()) send_ack();
  arm_timers(report);
  if (report.blocked) core_.wait_writable(*tx_.place().socket, *this);
  if (on_remote_changed_ && !tx_.changing_place()) std::exchange(on_remote_changed_, nullptr)();
  if (!closed_ && drain_wanted_ && tx_.queued_bytes() <= high_water() / 2) {
    drain_wanted_ = false;
    if (handler_ != nullptr) handler_->on_drain();
  }
  if (report.ran_dry && !closed_ && tx_.queued_bytes() == 0) tx_.note_app_limited();
  if (!closed_ && finished()) close(std::nullopt, 0, true);
}

bool StreamImpl::window_update_due() const {
  const size_t limit = rx_.window_limit();
  return advertised_ < limit / 2 && rx_.window() >= advertised_ + limit / 4;
}

size_t StreamImpl::sack_ranges_allowed() const {
  if (place_heard_) return wire::kUdxMaxSackRanges;
  const size_t room = ack_credit_ - std::min(ack_credit_, wire::kUdxHeaderSize);
  return std::min(room / wire::kUdxSackRangeSize, wire::kUdxMaxSackRanges);
}

void StreamImpl::send_ack() {
  std::array<wire::UdxSackRange, wire::kUdxMaxSackRanges> ranges;
  const size_t count = rx_.has_gaps() ? rx_.sacks(std::span(ranges).first(sack_ranges_allowed())) : 0;
  std::array<uint8_t, wire::kUdxHeaderSize + wire::kUdxMaxSackRanges * wire::kUdxSackRangeSize> packet;
  const Place& place = tx_.place();
  const uint8_t flags = count > 0 ? wire::kUdxSack : 0;
  advertised_ = rx_.window();
  wire::encode_udx_header({flags, 0, place.stream_id, advertised_, tx_.next_seq(), rx_.ack()}, packet.data());
  wire::encode_udx_sacks(std::span(ranges).first(count), packet.data() + wire::kUdxHeaderSize);
  const ByteView bytes(packet.data(), wire::kUdxHeaderSize + count * wire::kUdxSackRangeSize);
  ack_credit_ -= std::min(ack_credit_, bytes.size());
  ack_needed_ = place.socket->send(place.remote, bytes) == SendResult::kWouldBlock;
  if (ack_needed_) core_.wait_writable(*place.socket, *this);
}

bool StreamImpl::send_bare(uint8_t flags) {
  const Place& place = tx_.place();
  ByteArray<wire::kUdxHeaderSize> header;
  wire::encode_udx_header({flags, 0, place.stream_id, rx_.window(), tx_.next_seq(), rx_.ack()}, header.data());
  return place.socket->send(place.remote, header) == SendResult::kSent;
}

void StreamImpl::on_writable() {
  tx_.on_writable();
  core_.mark_dirty(*this);
}

// ── time and end ──

void StreamImpl::arm_timers(const Sender::SendReport& report) {
  if (report.resume_at) pace_timer_.arm(*report.resume_at);
  const auto next = tx_.next_deadline();
  if (next) {
    if (!timer_.armed() || *next < timer_.deadline()) timer_.arm(*next);
  } else if (!timer_.armed()) {
    timer_.arm(core_.runtime.now() + kIdleRelease);
  }
}

void StreamImpl::on_timer() {
  if (closed_ || !connected()) return;
  const TimePoint now = core_.runtime.now();
  const auto next = tx_.next_deadline();
  if (!next) {
    tx_.release_idle();
    rx_.release_idle();
    messages_.release();
    return;
  }
  if (*next > now) {
    timer_.arm(*next);
    return;
  }
  tx_.set_ack({rx_.ack(), rx_.window()});
  const Sender::TimerResult result = tx_.on_timer(now, rx_.at_end());
  if (result.dead) {
    close(Error{"ETIMEDOUT", "the peer does not answer"}, 0, false);
    return;
  }
  if (result.stuck) {
    close(Error{"ETIMEDOUT", "the oldest packet does not get through to the peer"}, wire::kUdxDestroy, true);
    return;
  }
  if (result.lonely_end) {
    close(std::nullopt, 0, true);
    return;
  }
  if (result.heartbeat) send_bare(wire::kUdxHeartbeat);
  core_.mark_dirty(*this);
}

void StreamImpl::close(std::optional<Error> error, uint8_t last_word_flags, bool linger) {
  if (connected()) {
    send_messages();
    const Place& place = tx_.place();
    if (last_word_flags & wire::kUdxDestroy) send_bare(last_word_flags);
    if (linger) core_.linger(id_, place.remote, {last_word_flags, 0, place.stream_id, rx_.window(), tx_.next_seq(), rx_.ack()});
  }
  closed_ = true;
  close_error_ = std::move(error);
  timer_.disarm();
  pace_timer_.disarm();
  core_.remove(*this);
  tx_.drop_all();
  core_.mark_dirty(*this);
}

}  // namespace hg::udx
