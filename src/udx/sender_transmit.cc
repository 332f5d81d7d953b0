// Sender: how packets leave.
//
//   1. second copies of repairs that are due; lost packets, oldest first (the peer's window does not apply to them)
//   2. new packets while congestion window, pacing credit and the peer's window allow
//   3. each joins the current run, or the run is handed to the socket first; what may need fragmentation leaves by itself
//   4. a run counts as sent only when the socket took it; otherwise its packets wait at the head of the resend list
#include <algorithm>
#include <array>

#include "udx/sender.h"

namespace hg::udx {

Sender::SendReport Sender::transmit(TimePoint now, const AckFields& ack) {
  SendReport report = transmit_once(now, ack);
  for (int i = 0; i < 2 && retry_; ++i) {  // the mtu shrank: some packets were refused
    retry_ = false;
    const size_t sent = report.packets;
    report = transmit_once(now, ack);
    report.packets += sent;
  }
  return report;
}

Sender::SendReport Sender::transmit_once(TimePoint now, const AckFields& ack) {
  SendReport report;
  if (place_.socket == nullptr) return report;
  if (blocked_) {
    report.blocked = true;
    return report;
  }
  if (board_.resend_empty() && !has_new_data() && !copies_.pending()) return report;
  ack_ = ack;
  report_packets_ = 0;
  batch_bytes_ = 0;
  pacer_.refill(now, controller_->pacing_rate(), static_cast<double>(controller_->send_quantum()), rtt_.smoothed());
  if (pacer_.late() > Duration::zero()) controller_->on_held_up(pacer_.late());
  const size_t window = controller_->window();
  const size_t most_unacknowledged = most_behind_hole();
  const auto in_flight = [&] { return board_.flight_bytes() + batch_bytes_; };
  bool waiting_for_pacing = false;
  bool ok = send_copies(now);
  while (ok && !board_.resend_empty()) {
    const Seq seq = board_.resend_head();
    const size_t bytes = board_.wire_size(board_[seq]);
    if (in_flight() > 0 && in_flight() + bytes > window) break;
    if (paced_out()) {
      waiting_for_pacing = true;
      break;
    }
    ok = push(seq, now);
    if (ok && measure_due(now) && in_flight() + mtu_.mtu() <= window) {
      measured_at_ = now;
      ok = push(cut_packet(), now);
    }
  }
  const bool resend_done = board_.resend_empty();
  while (ok && resend_done && !waiting_for_pacing && has_new_data() && !board_.full()) {
    const size_t payload = std::min(queued_bytes(), mtu_.max_payload());
    if (in_flight() > 0 && in_flight() + payload + PathMtu::kOverhead > window) break;
    if (!window_allows(payload)) break;
    if (unacknowledged_span() + payload > most_unacknowledged) break;
    if (paced_out()) {
      waiting_for_pacing = true;
      break;
    }
    const Seq seq = cut_packet();
    pad_as_probe(seq, now);
    ok = push(seq, now);
  }
  if (ok) ok = flush_batch(now);
  report.packets = report_packets_;
  report.blocked = !ok;
  if (ok && waiting_for_pacing) report.resume_at = std::max(pacer_.wait(), now + Duration(1));
  report.ran_dry = ok && !waiting_for_pacing && queued_bytes() == 0 && board_.resend_empty() && board_.flight_bytes() < window;
  if (peer_window_ == 0 && board_.empty() && has_new_data() && persist_at_ == TimePoint{}) {
    persist_at_ = now + rtt_.rto();
    persist_backoff_ = 0;
  }
  return report;
}

// What is sent again measures nothing (RFC 6298, 3). Where all that waits is such, after an outage or a change of path, what is known of
// the path would stay what it was before for as long as that takes: a new packet goes between.
bool Sender::measure_due(TimePoint now) const {
  return unmeasured_ && now - measured_at_ >= std::min<Duration>(rtt_.rto(), kMeasureAfter) && queued_bytes() > 0 && !board_.full() &&
         window_allows(std::min(queued_bytes(), mtu_.max_payload()));
}

bool Sender::window_allows(size_t payload) const {
  if (peer_window_ == 0) return payload == 0;
  const size_t outstanding = board_.undelivered_payload();
  return outstanding == 0 || outstanding + payload <= peer_window_;
}

size_t Sender::unacknowledged_span() const { return board_.empty() ? 0 : static_cast<size_t>(cut_offset_ - board_[board_.una()].offset); }

// A repair comes two round trips after what it repairs: until then nothing behind the hole counts as acknowledged in order. On a slow path
// what is sent beyond that would still be in everybody's way long after its transfer was aborted. A path that has carried next to nothing
// says nothing of what it can: there the window counts.
size_t Sender::most_behind_hole() const {
  const size_t window = controller_->window();
  const size_t payload = mtu_.max_payload();
  const size_t product = controller_->bandwidth_delay_product() / (payload + PathMtu::kOverhead) * payload;
  if (!rtt_.known()) return 2 * product + kHoleSlack;
  if (rtt_.min() < cc::kShortPath) return std::max(window, 2 * product + kHoleSlack);
  const double in_time = static_cast<double>(product) * (to_seconds(kHoleTime) / to_seconds(rtt_.min()));
  return std::max(2 * product + std::min(kHoleSlack, static_cast<size_t>(in_time)), std::min(window, kHoleSlack));
}

size_t Sender::room_behind_hole() const {
  const size_t most = most_behind_hole() + kQueueSlack;
  const size_t span = unacknowledged_span();
  return most > span ? most - span : 0;
}

Seq Sender::cut_packet() {
  const size_t payload = std::min(queued_bytes(), mtu_.max_payload());
  const bool end = end_wanted_ && payload == queued_bytes();
  const Seq seq = board_.add(cut_offset_, static_cast<uint16_t>(payload), end);
  board_[seq].old_path = false;
  cut_offset_ += payload;
  bytes_sent_ += payload;
  if (end) end_cut_ = true;
  return seq;
}

void Sender::pad_as_probe(Seq seq, TimePoint now) {
  OutPacket& p = board_[seq];
  if (changing_ || p.payload != mtu_.max_payload() || always_fragment_) return;
  const auto size = mtu_.wanted_probe(now);
  if (!size) return;
  p.padding = static_cast<uint8_t>(*size - mtu_.mtu());
  mtu_.on_probe_sent();
}

void Sender::strip_probe(OutPacket& p) { p.padding = 0; }

bool Sender::needs_fragmentation(const OutPacket& p, Seq seq) const {
  if (always_fragment_) return true;
  if (p.padding > 0) return false;
  const bool tried_whole = p.sendings > 0 || seq % kWholeEach > 0;
  return p.payload > mtu_.max_payload() || p.losses >= kWholeLosses || (only_fragments_ && tried_whole);
}

const Place& Sender::place_of(const OutPacket& p) const {
  // A packet that got lost repeatedly on the old path goes over the new one.
  return p.old_path && p.sendings < 3 && old_place_.socket != nullptr ? old_place_ : place_;
}

wire::UdxHeader Sender::header_of(const OutPacket& p, Seq seq, const Place& place) const {
  uint8_t flags = 0;
  if (p.payload > 0) flags |= wire::kUdxData;
  if (p.end) flags |= wire::kUdxEnd;
  return {flags, p.padding, place.stream_id, ack_.window, seq, ack_.ack};
}

bool Sender::push(Seq seq, TimePoint now) {
  OutPacket& p = board_[seq];
  const Place& place = place_of(p);
  const bool fragmentable = needs_fragmentation(p, seq);
  if (fragmentable) strip_probe(p);
  const size_t datagram = wire::kUdxHeaderSize + p.padding + p.payload;
  const bool alone = p.padding > 0 || p.old_path || fragmentable;
  if ((alone || !batch_.fits(datagram)) && !flush_batch(now)) {
    if (p.state == OutPacket::State::kCut) board_.to_resend(seq, false);
    return false;
  }
  p.fragmentable = fragmentable;
  if (fragmentable) return push_fragmentable(seq, now);
  if (batch_bytes_ == 0) batch_.begin(*place.socket, place.remote);
  board_.take(seq);
  batch_.add(header_of(p, seq, place), seq, p.payload);
  queue_.gather(p.offset, p.payload, batch_.slices());
  batch_bytes_ += board_.wire_size(p);
  return alone ? flush_batch(now) : true;
}

bool Sender::push_fragmentable(Seq seq, TimePoint now) {
  OutPacket& p = board_[seq];
  const Place& place = place_of(p);
  std::array<uint8_t, wire::kUdxHeaderSize + PathMtu::kLargest> datagram;
  size_t size = wire::kUdxHeaderSize;
  wire::encode_udx_header(header_of(p, seq, place), datagram.data());
  std::vector<ByteView>& slices = batch_.slices();
  slices.clear();
  queue_.gather(p.offset, p.payload, slices);
  for (ByteView slice : slices) {
    std::copy(slice.begin(), slice.end(), datagram.begin() + static_cast<std::ptrdiff_t>(size));
    size += slice.size();
  }
  slices.clear();
  board_.take(seq);
  if (place.socket->send_fragmentable(place.remote, ByteView(datagram.data(), size)) == SendResult::kWouldBlock) {
    board_.to_resend(seq, true);
    blocked_ = true;
    return false;
  }
  commit(seq, now);
  return true;
}

bool Sender::flush_batch(TimePoint now) {
  if (batch_bytes_ == 0) return true;
  batch_bytes_ = 0;
  const SendResult result = batch_.submit();
  if (result == SendResult::kSent || result == SendResult::kFailed) {
    for (size_t i = 0; i < batch_.size(); ++i) commit(batch_[i].seq, now);
    return true;
  }
  if (result == SendResult::kTooBig) {
    const size_t size = batch_.segment() + 28;
    if (size <= PathMtu::kBase) always_fragment_ = true;
    for (size_t i = 0; i < batch_.size(); ++i) strip_probe(board_[batch_[i].seq]);
    mtu_.on_too_big(size, now);
    put_back_batch();
    retry_ = true;
    return true;
  }
  put_back_batch();
  blocked_ = true;
  return false;
}

void Sender::put_back_batch() {
  for (size_t i = batch_.size(); i > 0; --i) board_.to_resend(batch_[i - 1].seq, true);
}

// Each replaces the repair in the flight: its time to be given up counts anew.
bool Sender::send_copies(TimePoint now) {
  bool ok = true;
  copying_ = true;
  while (ok && copies_.pending() && copies_.next_due() <= now) {
    if (paced_out()) {
      copies_.postpone(std::max(pacer_.wait(), now + Duration(1)));
      break;
    }
    const RepairCopies::Copy copy = *copies_.take_due(now);
    const bool gone = seq_before(copy.seq, board_.una());
    if (gone || board_[copy.seq].state != OutPacket::State::kFlight || board_[copy.seq].order != copy.order) continue;
    board_.take(copy.seq);
    ok = push(copy.seq, now);
  }
  if (ok) ok = flush_batch(now);
  copying_ = false;
  return ok;
}

bool Sender::copies_worthwhile() const {
  return copies_.worthwhile(static_cast<double>(controller_->bandwidth_delay_product()) / static_cast<double>(mtu_.mtu()));
}

void Sender::commit(Seq seq, TimePoint now) {
  OutPacket& p = board_[seq];
  const bool first = p.sendings == 0;
  const size_t before = board_.flight_bytes();
  const size_t bytes = board_.wire_size(p);
  controller_->on_sent(now, before, rate_.app_limited());
  rate_.on_sent(p.stamp, now, before, bytes);
  p.sent_at = now;
  p.stale = false;
  p.copied = copying_;
  if (p.sendings < 255) ++p.sendings;
  board_.to_flight(seq);
  pacer_.spend(bytes);
  p.order = static_cast<uint32_t>(++packets_sent_);
  ++report_packets_;
  if (!first) ++packets_resent_;
  if (!copying_ && p.losses > 0 && copies_worthwhile()) copies_.on_repair(seq, p.order, now, rtt_.smoothed());
  if (unanswered_since_ == TimePoint{}) unanswered_since_ = now;
  persist_at_ = TimePoint{};
  if (timeout_at_ == TimePoint{}) timeout_at_ = now + rtt_.rto();
  if (first && !probe_in_flight_) arm_probe(now);
}

void Sender::send_tail_probe(TimePoint now) {
  probe_at_ = TimePoint{};
  if (probe_in_flight_ || !probe_permitted_ || board_.empty()) return;
  report_packets_ = 0;
  batch_bytes_ = 0;
  const bool fresh = has_new_data() && !board_.full() && window_allows(std::min(queued_bytes(), mtu_.max_payload()));
  Seq seq = board_.nxt() - 1;
  if (fresh) {
    seq = cut_packet();
  } else {
    if (board_[seq].state != OutPacket::State::kFlight) return;
    OutPacket& p = board_[seq];
    if (p.padding > 0) mtu_.on_probe_lost(board_.wire_size(p), now);
    board_.take(seq);
    strip_probe(p);
  }
  probe_in_flight_ = true;
  probe_was_new_ = fresh;
  probe_end_ = seq + (fresh ? 1 : 0);
  probe_permitted_ = false;
  ++tail_probes_;
  ++unanswered_;
  if (push(seq, now)) flush_batch(now);
  timeout_at_ = now + rtt_.rto();
}

void Sender::change_place(const Place& place, std::unique_ptr<cc::Controller> controller) {
  copies_.clear();
  if (!board_.empty()) {
    // Of an earlier change that is still under way, only the latest place is remembered.
    old_place_ = place_;
    for (Seq seq = board_.una(); seq != board_.nxt(); ++seq) board_[seq].old_path = true;
    change_point_ = board_.nxt();
    changing_ = true;
  }
  mtu_.restart();
  always_fragment_ = only_fragments_ = blocked_ = false;
  whole_arrived_at_ = {};
  rtt_ = RttEstimator();
  controller_ = std::move(controller);
  set_place(place);
  controller_->set_packet_size(mtu_.mtu());
}

void Sender::relocate(const Place& place, std::unique_ptr<cc::Controller> controller, TimePoint now) {
  for (Seq seq = board_.una(); seq != board_.nxt(); ++seq) {
    OutPacket& p = board_[seq];
    if (p.state == OutPacket::State::kDelivered) continue;
    board_.take(seq);
    strip_probe(p);
    p.old_path = false;
    p.losses = 0;
    p.stale = p.sendings > 0;
    board_.to_resend(seq, false);
  }
  relocated_to_ = board_.nxt();
  measured_at_ = answered_at_ = TimePoint{};
  unmeasured_ = provisional_ = true;
  changing_ = recovering_ = probe_in_flight_ = always_fragment_ = only_fragments_ = blocked_ = false;
  probe_permitted_ = true;
  copies_.clear();
  old_place_ = {};
  timeout_at_ = probe_at_ = reorder_at_ = ask_at_ = asked_at_ = TimePoint{};
  if (persist_at_ != TimePoint{}) persist_at_ = now;
  backoff_ = persist_backoff_ = unanswered_ = 0;
  standstill_ = {};
  whole_arrived_at_ = {};
  unanswered_since_ = board_.empty() ? TimePoint{} : now;
  mtu_.restart();
  rtt_ = RttEstimator();
  rack_ = Rack();
  rate_ = RateSampler();
  controller_ = std::move(controller);
  set_place(place);
  controller_->set_packet_size(mtu_.mtu());
}

}  // namespace hg::udx
