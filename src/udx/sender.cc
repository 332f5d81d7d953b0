// Sender: acknowledgements, loss detection and timers. Transmission is in sender_transmit.cc.
#include "udx/sender.h"

#include <algorithm>

namespace hg::udx {

namespace {

constexpr TimePoint kNever{};
constexpr double kAskAgain = 0.25;  // round trips

bool due(TimePoint at, TimePoint now) { return at != kNever && at <= now; }

}  // namespace

Sender::Sender(SendBatch& batch, std::unique_ptr<cc::Controller> controller, Duration dead_after, Seq first)
    : batch_(batch),
      controller_(std::move(controller)),
      board_(PathMtu::kOverhead, first),
      dead_after_(dead_after),
      relocated_to_(first),
      window_seq_(first),
      window_ack_(first) {
  controller_->set_packet_size(mtu_.mtu());
}

void Sender::set_place(const Place& place) {
  place_ = place;
  const size_t limit = place.socket->path_mtu(place.remote);
  mtu_.set_interface_limit(limit == 0 ? 0 : limit + 28);
}

std::optional<size_t> Sender::bytes_within(Duration span) const {
  if (!rtt_.known()) return std::nullopt;
  return static_cast<size_t>(controller_->pacing_rate() * to_seconds(span));
}

void Sender::heard(TimePoint now) {
  const bool was_silent = asked_at_ != kNever;
  ask_at_ = asked_at_ = kNever;
  if (recovering_) arm_ask(now, was_silent ? 0 : 1);
  unanswered_ = 0;
  if (unanswered_since_ != kNever) standstill_ += std::min<Duration>(now - unanswered_since_, kMaxTimeoutGap);
  if (peer_window_ == 0) standstill_ = {};  // its reader pauses
  unanswered_since_ = board_.empty() ? kNever : now;
}

bool Sender::stuck() const { return standstill_ >= kMostStandstill && !board_.empty() && board_[board_.una()].sendings >= kStuckSendings; }

Sender::PacketResult Sender::on_packet(const wire::UdxPacket& packet, TimePoint now) {
  PacketResult result;
  const wire::UdxHeader& header = packet.header;
  if (seq_before(board_.nxt(), header.ack)) return result;
  update_peer_window(header);
  const bool had_outstanding = !board_.empty();
  if (!had_outstanding) {
    rearm_after_ack(now, false);
    return result;
  }

  const size_t prior_in_flight = board_.flight_bytes();
  Outcome outcome;
  rate_.begin();
  for (Seq seq = board_.una(); seq_before(seq, header.ack); ++seq) deliver(seq, now, true, outcome);
  if (seq_before(board_.una(), header.ack)) {
    outcome.progress = true;
    standstill_ = {};
    const OutPacket& last = board_[header.ack - 1];
    queue_.release_before(last.offset + last.payload);
    result.end_acked = last.end;
    board_.advance(header.ack);
  }
  if (packet.sacks.size() > 0) take_sacks(packet.sacks, now, outcome);

  if (changing_ && seq_at_or_before(change_point_, board_.una())) {
    changing_ = false;
    old_place_ = {};
    result.place_changed = true;
  }
  if (probe_in_flight_ && seq_at_or_before(probe_end_, board_.una()) && (probe_was_new_ || seq_before(probe_end_, board_.una())))
    probe_in_flight_ = false;
  if (recovering_ && seq_at_or_before(recovery_point_, board_.una())) {
    recovering_ = false;
    rack_.on_recovery_end();
  }
  if (outcome.acked > 0) {
    // After a silence the acknowledgement answers our latest try, not this packet.
    if (unanswered_ > 0 && outcome.rtt > rtt_.rto()) outcome.rtt = Duration::zero();
    if (outcome.rtt > Duration::zero()) take_round_trip(outcome, now);
    outcome.lost = detect_losses(now);
    controller_->set_packet_size(mtu_.mtu());
    controller_->on_ack({.now = now,
                         .acked = outcome.acked,
                         .lost = outcome.lost,
                         .in_flight = board_.flight_bytes(),
                         .prior_in_flight = prior_in_flight,
                         .delivered_total = rate_.delivered(),
                         .rtt = outcome.rtt,
                         .rate = rate_.finish()});
  }
  if (asked_at_ != kNever && outcome.acked == 0) on_answer(now);
  rearm_after_ack(now, outcome.progress || outcome.acked > 0);
  return result;
}

// The peer may have gone on answering over a path that is gone, until it moved: the first acknowledgement over another one waited for that,
// too. It is believed until a packet sent since has been acknowledged.
void Sender::take_round_trip(const Outcome& outcome, TimePoint now) {
  if (provisional_) {
    const bool first = answered_at_ == kNever;
    if (first) answered_at_ = now;
    provisional_ = outcome.newest_sent < answered_at_;
    if (!provisional_) rtt_ = RttEstimator();
    if (first) measured_at_ = kNever;  // the next goes at once
  }
  rtt_.add(outcome.rtt, now);
  probe_permitted_ = true;
  if (provisional_) return;
  measured_at_ = now;
  unmeasured_ = false;
}

void Sender::update_peer_window(const wire::UdxHeader& header) {
  if (seq_before(header.ack, board_.una())) return;
  const bool newer = seq_before(window_seq_, header.seq) || (window_seq_ == header.seq && seq_at_or_before(window_ack_, header.ack));
  if (!newer) return;
  peer_window_ = header.window;
  window_seq_ = header.seq;
  window_ack_ = header.ack;
}

void Sender::deliver(Seq seq, TimePoint now, bool cumulative, Outcome& outcome) {
  OutPacket& p = board_[seq];
  if (p.state == OutPacket::State::kDelivered) {
    if (cumulative) --sacked_packets_;
    return;
  }
  if (!cumulative) ++sacked_packets_;
  if (p.stale) return board_.deliver(seq);
  const size_t bytes = board_.wire_size(p);
  const Duration sample = now - p.sent_at;
  const bool sent_again = p.sendings > 1;
  const bool late = p.state == OutPacket::State::kResend && p.losses > 0;
  const bool needless = sent_again && !p.copied && p.losses > 0 && rtt_.known() && sample < rtt_.min();
  if (late || needless) {
    rack_.on_late(late ? sample - rack_.rtt() : sample + rack_.window(true, sacked_packets_, rtt_), now);
    if (late) {
      rate_.on_loss_undone(bytes);
      controller_->on_loss_undone(bytes);
    }
  }
  if (p.padding > 0) mtu_.on_probe_acked(bytes, now);
  if (!p.fragmentable) mtu_.on_acked(bytes, now);
  if (bytes >= PathMtu::kBase) note_full_size(p, now);
  board_.deliver(seq);
  outcome.acked += bytes;
  if (p.sendings == 0) return;
  copies_.on_delivered();
  if (p.copied) return rate_.on_delivered_unmeasured(now, bytes);
  rate_.on_delivered(p.stamp, p.sent_at, now, bytes);
  if (!sent_again && p.losses == 0 && p.sent_at >= outcome.newest_sent) {
    outcome.newest_sent = p.sent_at;
    outcome.rtt = std::max(sample, Duration(1));
  }
  rack_.on_delivered(seq, p.sent_at, sent_again, now, rtt_);
}

// A path that takes even the base size in fragments only.
void Sender::note_full_size(const OutPacket& p, TimePoint now) {
  if (!p.fragmentable) {
    whole_arrived_at_ = now;
    only_fragments_ = false;
  } else if (p.payload <= mtu_.max_payload() && now - whole_arrived_at_ >= PathMtu::kBlackHoleSilence) {
    only_fragments_ = true;
  }
}

void Sender::take_sacks(const wire::UdxSackList& sacks, TimePoint now, Outcome& outcome) {
  const Seq una = board_.una();
  const Seq nxt = board_.nxt();
  for (size_t i = 0; i < sacks.size() && i < 2 * wire::kUdxMaxSackRanges; ++i) {
    const wire::UdxSackRange range = sacks[i];
    if (!seq_before(range.start, range.end) || seq_before(nxt, range.end) || !seq_before(range.start, nxt) || seq_before(range.start, una))
      continue;
    board_.sacked().add(range.start, range.end, [&](Seq from, Seq to) {
      for (Seq seq = from; seq != to; ++seq) deliver(seq, now, false, outcome);
    });
  }
}

size_t Sender::mark_lost(Seq seq, TimePoint now, bool first) {
  OutPacket& p = board_[seq];
  const size_t bytes = board_.wire_size(p);
  board_.take(seq);
  size_t congestion_bytes = bytes;
  if (p.padding > 0) {
    mtu_.on_probe_lost(bytes, now);
    strip_probe(p);
    congestion_bytes = 0;
  } else if (mtu_.on_lost(bytes, p.sendings, now)) {
    controller_->set_packet_size(mtu_.mtu());
  }
  if (p.losses < 255) ++p.losses;
  // After a change of path all that was under way waits: what is lost again goes first, or nothing is delivered before all has been sent.
  if (!first && seq_before(board_.una(), relocated_to_))
    board_.to_resend_in_order(seq);
  else
    board_.to_resend(seq, first);
  return congestion_bytes;
}

size_t Sender::detect_losses(TimePoint now) {
  reorder_at_ = kNever;
  const Duration window = rack_.window(recovering_, sacked_packets_, rtt_);
  size_t lost = 0;
  bool any = false;
  while (!board_.flight_empty()) {
    const Seq seq = board_.flight_head();
    const OutPacket& p = board_[seq];
    if (!rack_.overtaken(p.sent_at, seq)) break;
    const TimePoint given_up_at = p.sent_at + rack_.rtt() + window;
    if (given_up_at > now) {
      reorder_at_ = std::max(given_up_at, now + 1ms);
      break;
    }
    any = true;
    if (p.order != loss_run_.next_order) lost += judge_run(), loss_run_ = {.first_sent = p.sent_at};
    loss_run_.last_sent = p.sent_at;
    loss_run_.next_order = p.order + 1;
    ++loss_run_.packets;
    copies_.on_lost();
    loss_run_.bytes += mark_lost(seq, now, false);
  }
  if (any) lost += judge_run();
  rate_.on_lost(lost);
  if (any && !recovering_) enter_recovery();
  return lost;
}

// How many bytes more of the run count as congestion. A full queue still passes on what the path carries: of packets sent over a while,
// some arrive. Where none did, the path was down, and sending less would not have helped. Not so where the round trip has grown much: a
// busy reader empties its buffer in gulps, and what overflows in between is lost in runs too.
size_t Sender::judge_run() {
  LossRun& run = loss_run_;
  const Duration span = run.last_sent - run.first_sent;
  const bool spread = span >= kDownSpan && to_seconds(span) * controller_->pacing_rate() >= static_cast<double>(run.bytes) / 2;
  const bool swollen = to_seconds(rtt_.smoothed()) > kSwollenRtt * to_seconds(rtt_.min());
  if (run.packets >= kDownPackets && spread && !swollen) {
    rate_.on_loss_undone(run.counted);
    controller_->on_loss_undone(run.counted);
    run.bytes = run.counted = 0;
    return 0;
  }
  return run.bytes - std::exchange(run.counted, run.bytes);
}

// The peer answers a question and has nothing new: what was sent before the question is lost. No later packet might ever show that.
void Sender::on_answer(TimePoint now) {
  if (!rtt_.known() || now < asked_at_ + rtt_.min()) return;
  const TimePoint before = asked_at_ - rack_.window(true, sacked_packets_, rtt_);
  bool any = false;
  while (!board_.flight_empty() && board_[board_.flight_head()].sent_at < before) {
    mark_lost(board_.flight_head(), now, false);
    any = true;
  }
  if (any && !recovering_) enter_recovery();
  controller_->on_path_back(now);
}

void Sender::enter_recovery() {
  recovering_ = true;
  recovery_point_ = board_.nxt();
  probe_in_flight_ = false;
  probe_at_ = kNever;
}

void Sender::rearm_after_ack(TimePoint now, bool progress) {
  if (board_.empty()) {
    timeout_at_ = probe_at_ = reorder_at_ = kNever;
    backoff_ = 0;
    unanswered_since_ = kNever;
    if (peer_window_ == 0 && has_new_data()) {
      if (persist_at_ == kNever) persist_at_ = now + rtt_.rto(), persist_backoff_ = 0;
    } else {
      persist_at_ = kNever;
    }
    return;
  }
  if (!progress) return;
  backoff_ = 0;
  timeout_at_ = now + rtt_.rto();
  arm_probe(now);
}

void Sender::arm_probe(TimePoint now) {
  probe_at_ = kNever;
  if (recovering_ || sacked_packets_ > 0 || reorder_at_ != kNever || probe_in_flight_ || board_.flight_empty()) return;
  Duration wait = RttEstimator::kInitialRto;
  if (rtt_.known()) {
    wait = 2 * rtt_.smoothed();
    if (board_.flight_packets() == 1) wait += kAckDelay;
    wait = std::max(wait, kMinProbeTimeout);
  }
  probe_at_ = std::min(now + wait, timeout_at_);
}

std::optional<TimePoint> Sender::next_deadline() const {
  std::optional<TimePoint> next;
  for (TimePoint at : {timeout_at_, probe_at_, reorder_at_, persist_at_, ask_at_})
    if (at != kNever && (!next || at < *next)) next = at;
  if (copies_.pending() && !blocked_ && (!next || copies_.next_due() < *next)) next = copies_.next_due();
  if (next && unanswered_since_ != kNever && unanswered_ >= kMinUnanswered) next = std::min(*next, unanswered_since_ + dead_after_);
  return next;
}

Sender::TimerResult Sender::on_timer(TimePoint now, bool remote_ended) {
  TimerResult result;
  if (stuck()) {
    result.stuck = true;
    return result;
  }
  if (unanswered_since_ != kNever && unanswered_ >= kMinUnanswered) {
    if (remote_ended && board_.span() == 1 && board_[board_.una()].end && board_[board_.una()].payload == 0 &&
        unanswered_ >= kLonelyEndSendings) {
      result.lonely_end = true;
      return result;
    }
    if (now - unanswered_since_ >= dead_after_) {
      result.dead = true;
      return result;
    }
  }
  if (due(persist_at_, now)) {
    result.heartbeat = true;
    persist_backoff_ = std::min(persist_backoff_ + 1, 6);
    persist_at_ = now + std::min(rtt_.rto() * (1 << persist_backoff_), kMaxTimeoutGap);
    if (unanswered_since_ == kNever) unanswered_since_ = now;
    ++unanswered_;
  }
  if (due(ask_at_, now)) {
    result.heartbeat = true;
    if (asked_at_ == kNever) asked_at_ = now;
    arm_ask(now, kAskAgain);
  }
  if (blocked_) {
    for (TimePoint* at : {&timeout_at_, &probe_at_, &reorder_at_})
      if (due(*at, now)) *at = now + 10ms;
    return result;
  }
  if (due(reorder_at_, now)) {
    const size_t lost = detect_losses(now);
    if (lost > 0) controller_->on_lost(lost);
  }
  if (due(timeout_at_, now)) {
    on_retransmission_timeout(now);
  } else if (due(probe_at_, now)) {
    send_tail_probe(now);
  }
  return result;
}

void Sender::arm_ask(TimePoint now, double round_trips) {
  const Duration gap =
      rtt_.known() ? Duration(static_cast<int64_t>(round_trips * static_cast<double>(rtt_.smoothed().count()))) : kMostAskGap;
  ask_at_ = board_.empty() ? kNever : now + std::clamp(gap, Duration(kLeastAskGap), Duration(kMostAskGap));
}

void Sender::on_retransmission_timeout(TimePoint now) {
  probe_at_ = reorder_at_ = kNever;
  if (board_.empty()) {
    timeout_at_ = kNever;
    return;
  }
  ++timeouts_;
  ++unanswered_;
  unmeasured_ = true;
  if (ask_at_ == kNever) arm_ask(now, kAskAgain);
  backoff_ = std::min(backoff_ + 1, kSteadyTimeouts + 6);
  const Duration gap = rtt_.rto();
  timeout_at_ = now + std::max(std::min(gap * (1 << std::max(backoff_ - kSteadyTimeouts, 0)), kMaxTimeoutGap), gap);
  // RFC 8985 6.3: the first unacknowledged packet, and every one whose time is up.
  if (board_[board_.una()].state == OutPacket::State::kFlight) mark_lost(board_.una(), now, true);
  const Duration window = rack_.window(true, sacked_packets_, rtt_);
  while (!board_.flight_empty()) {
    const Seq seq = board_.flight_head();
    if (board_[seq].sent_at + std::max(rack_.rtt(), rtt_.smoothed()) + window > now) break;
    mark_lost(seq, now, false);
  }
  recovering_ = true;
  recovery_point_ = board_.nxt();
  probe_in_flight_ = false;
  controller_->on_retransmission_timeout(board_.flight_bytes());
}

void Sender::fill(StreamStats& stats) const {
  stats.smoothed_rtt = rtt_.known() ? rtt_.smoothed() : Duration::zero();
  stats.min_rtt = rtt_.known() ? rtt_.min() : Duration::zero();
  stats.bytes_sent = bytes_sent_;
  stats.packets_sent = packets_sent_;
  stats.packets_retransmitted = packets_resent_;
  stats.rto_count = timeouts_;
  stats.tlp_count = tail_probes_;
  stats.congestion_window = controller_->window() / mtu_.mtu();
  stats.in_flight = board_.flight_packets();
  stats.pacing_rate = static_cast<uint64_t>(controller_->pacing_rate());
  stats.mtu = mtu_.mtu();
}

void Sender::release_idle() { board_.release_idle(); }

void Sender::drop_all() {
  copies_.clear();
  queue_.clear();
  board_ = Scoreboard(PathMtu::kOverhead);
}

}  // namespace hg::udx
