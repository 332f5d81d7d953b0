// The sending half of a stream: cuts bytes into packets, sends them as window, congestion control and pacing allow, and
// repairs losses.
//
//   write() ─▶ SendQueue ─▶ transmit(): resend list first, then new packets ─▶ SendBatch ─▶ socket
//   on_packet(): ack + SACK ─▶ delivered ─▶ RTT, delivery rate, RACK ─▶ lost ─▶ resend list (on long, fast paths a copy follows)
//   on_timer(): reordering window, tail loss probe (RFC 8985), retransmission timeout (RFC 6298), zero-window probe, silence
//
// A silent peer: dead once dead_after (8 s) has passed since it was last heard while something waits for its answer, and at
// least kMinUnanswered probes or timeouts fell into the silence. Anything at all from the peer starts this anew.
// A peer that answers, but never gets the oldest packet: stuck after kMostStandstill. A packet keeps its bytes for ever, so one that was
// cut for a wider path may never fit the present one.
// Owner: the stream. One thread. Time is passed in. Congestion bytes are IP packets' bytes, window bytes are payload.
#pragma once

#include <memory>
#include <optional>

#include "base/udp_socket.h"
#include "udx/cc/controller.h"
#include "udx/pacer.h"
#include "udx/path_mtu.h"
#include "udx/rack.h"
#include "udx/repair_copies.h"
#include "udx/rtt.h"
#include "udx/scoreboard.h"
#include "udx/send_batch.h"
#include "udx/send_queue.h"
#include "udx/udx.h"

namespace hg::udx {

struct Place {
  UdpSocket* socket = nullptr;
  Endpoint remote{};
  uint32_t stream_id = 0;
};

/// What every packet says about the receiving half.
struct AckFields {
  Seq ack = 0;
  uint32_t window = 0;
};

class Sender {
 public:
  static constexpr int kSteadyTimeouts = 3;        // before the gap between them grows: radio links fall silent for a second and come back
  static constexpr Duration kLeastAskGap = 100ms;  // a silence is asked into (HEARTBEAT) after a round trip, then each quarter of one:
  static constexpr Duration kMostAskGap = 500ms;   // who waits for the next timeout learns late that the path is back
  static constexpr Duration kMaxTimeoutGap = 2s;   // between timeouts while the peer is silent: several tries before it counts as dead
  static constexpr Duration kMinProbeTimeout = 10ms;  // tail loss probe, against timer granularity
  static constexpr Duration kAckDelay = 2ms;          // libudx ae8bff7: the longest a peer waits with an ack
  static constexpr size_t kDownPackets = 4;           // lost in a row, spread over time: the path was down, no queue was full
  static constexpr size_t kHoleSlack = 200 << 10;     // bytes sent beyond two products while the front waits for a repair,
  static constexpr Duration kHoleTime = 2s;           // or what leaves in this time, if that is less,
  static constexpr size_t kQueueSlack = 48 << 10;     // and bytes that wait unsent meanwhile
  static constexpr Duration kDownSpan = 1ms;          // shorter gaps are hosts' scheduling
  static constexpr double kSwollenRtt = 2.5;          // of the minimal RTT: a full queue of one product makes it 2
  static constexpr int kMinUnanswered = 4;
  static constexpr int kLonelyEndSendings = 4;
  static constexpr int kWholeLosses = PathMtu::kBlackHoleSendings;  // with DF; then fragments are allowed, as the path may take less
  static constexpr Duration kMeasureAfter = 500ms;  // at most, or a timeout: so long no round trip was measured, and repairs wait
  static constexpr Seq kWholeEach = 64;             // where nothing but fragments arrives, one packet of so many is tried whole
  // The worst of the ladder's links (800 ms, a quarter lost in bursts of two seconds) asks for 8 sendings twice an hour, and holds a
  // packet back for 17 s at most.
  static constexpr int kStuckSendings = 8;
  static constexpr Duration kMostStandstill = 30s;

  Sender(SendBatch& batch, std::unique_ptr<cc::Controller> controller, Duration dead_after, Seq first = 0);

  // ── what to send ──
  void write(Buffer bytes) { queue_.append(std::move(bytes)); }
  void end() { end_wanted_ = true; }
  bool end_wanted() const { return end_wanted_; }
  /// What leaves within `span` at the current rate, bytes; nullopt before anything is known about the path.
  std::optional<size_t> bytes_within(Duration span) const;
  /// What may be sent or queued still, bytes, before too much waits behind the first packet that has not arrived.
  size_t room_behind_hole() const;
  size_t queued_bytes() const { return static_cast<size_t>(queue_.end() - cut_offset_); }

  // ── where to ──
  void set_place(const Place& place);
  void change_place(const Place& place, std::unique_ptr<cc::Controller> controller);
  /// What is in flight counts as gone with the old path and is sent to the new place first; nothing of the old path's measurements stays.
  void relocate(const Place& place, std::unique_ptr<cc::Controller> controller, TimePoint now);
  const Place& place() const { return place_; }
  const Place& old_place() const { return old_place_; }
  bool changing_place() const { return changing_; }

  // ── events ──
  struct PacketResult {
    bool place_changed = false;  // everything sent to the old place is acknowledged
    bool end_acked = false;      // our END was acknowledged just now
  };
  void heard(TimePoint now);
  void retry_now(TimePoint now) {
    backoff_ = persist_backoff_ = 0;
    for (TimePoint* at : {&timeout_at_, &persist_at_})
      if (*at != TimePoint{}) *at = now;
  }
  std::optional<TimePoint> owed_since() const { return unanswered_since_ == TimePoint{} ? std::nullopt : std::optional(unanswered_since_); }
  void set_dead_after(Duration dead_after) { dead_after_ = dead_after; }
  PacketResult on_packet(const wire::UdxPacket& packet, TimePoint now);

  struct TimerResult {
    bool dead = false;        // the peer is silent
    bool stuck = false;       // it answers, but does not get the oldest packet
    bool lonely_end = false;  // only a bare END is unacknowledged and stays so
    bool heartbeat = false;   // the peer is to be asked for a sign of life: it is silent, or its window is closed
  };
  /// Used by packets that on_timer() sends.
  void set_ack(const AckFields& ack) { ack_ = ack; }
  TimerResult on_timer(TimePoint now, bool remote_ended);
  std::optional<TimePoint> next_deadline() const;
  void on_writable() { blocked_ = false; }

  struct SendReport {
    size_t packets = 0;                  // handed over, each carrying the ack
    bool ran_dry = false;                // everything written has left: note_app_limited() unless more is written now
    bool blocked = false;                // socket full: call on_writable() and transmit() later
    std::optional<TimePoint> resume_at;  // pacing: transmit() again then
  };
  SendReport transmit(TimePoint now, const AckFields& ack);
  void note_app_limited() { rate_.on_app_limited(board_.flight_bytes()); }

  // ── state ──
  Seq next_seq() const { return board_.nxt(); }
  bool all_acked() const { return board_.empty(); }
  bool end_acked() const { return end_cut_ && board_.empty(); }
  const PathMtu& mtu() const { return mtu_; }
  void fill(StreamStats& stats) const;
  void release_idle();
  void drop_all();

 private:
  struct Outcome {
    size_t acked = 0;
    size_t lost = 0;
    TimePoint newest_sent{};
    Duration rtt{};
    bool progress = false;
  };

  /// Packets lost one after the other, in the order of sending.
  struct LossRun {
    uint32_t next_order = 0;
    size_t packets = 0;
    size_t bytes = 0;
    size_t counted = 0;  // of them taken for congestion so far
    TimePoint first_sent{};
    TimePoint last_sent{};
  };

  void deliver(Seq seq, TimePoint now, bool cumulative, Outcome& outcome);
  void note_full_size(const OutPacket& p, TimePoint now);
  void take_sacks(const wire::UdxSackList& sacks, TimePoint now, Outcome& outcome);
  size_t detect_losses(TimePoint now);
  size_t mark_lost(Seq seq, TimePoint now, bool first);
  size_t judge_run();
  void enter_recovery();
  void take_round_trip(const Outcome& outcome, TimePoint now);
  void update_peer_window(const wire::UdxHeader& header);
  void rearm_after_ack(TimePoint now, bool progress);
  bool stuck() const;
  void arm_probe(TimePoint now);
  void arm_ask(TimePoint now, double round_trips);
  void on_answer(TimePoint now);
  void on_retransmission_timeout(TimePoint now);
  void send_tail_probe(TimePoint now);
  SendReport transmit_once(TimePoint now, const AckFields& ack);
  bool measure_due(TimePoint now) const;
  bool window_allows(size_t payload) const;
  size_t unacknowledged_span() const;
  size_t most_behind_hole() const;
  bool paced_out() const { return pacer_.credit() <= static_cast<double>(batch_bytes_); }
  bool has_new_data() const { return queued_bytes() > 0 || (end_wanted_ && !end_cut_); }
  Seq cut_packet();
  void pad_as_probe(Seq seq, TimePoint now);
  bool needs_fragmentation(const OutPacket& p, Seq seq) const;

  bool push(Seq seq, TimePoint now);
  bool push_fragmentable(Seq seq, TimePoint now);
  bool flush_batch(TimePoint now);
  void commit(Seq seq, TimePoint now);
  bool send_copies(TimePoint now);
  bool copies_worthwhile() const;
  void put_back_batch();
  void strip_probe(OutPacket& p);
  const Place& place_of(const OutPacket& p) const;
  wire::UdxHeader header_of(const OutPacket& p, Seq seq, const Place& place) const;

  SendBatch& batch_;
  std::unique_ptr<cc::Controller> controller_;
  SendQueue queue_;
  Scoreboard board_;
  RttEstimator rtt_;
  Rack rack_;
  LossRun loss_run_;
  RepairCopies copies_;
  RateSampler rate_;
  Pacer pacer_;
  PathMtu mtu_;
  Place place_;
  Place old_place_;
  Duration dead_after_;

  Seq relocated_to_;  // what comes before it was under way when the path changed last
  uint64_t cut_offset_ = 0;
  size_t batch_bytes_ = 0;  // IP bytes in batch_
  size_t report_packets_ = 0;
  AckFields ack_;
  uint32_t peer_window_ = 4 << 20;  // until the peer says: libudx's default
  Seq window_seq_;                  // SND.WL1 and SND.WL2 of RFC 9293
  Seq window_ack_;
  Seq recovery_point_ = 0;
  Seq change_point_ = 0;
  Seq probe_end_ = 0;
  size_t sacked_packets_ = 0;

  TimePoint timeout_at_{};  // each zero when not armed
  TimePoint probe_at_{};
  TimePoint reorder_at_{};
  TimePoint persist_at_{};
  TimePoint ask_at_{};
  TimePoint asked_at_{};  // when the first question of this silence left
  TimePoint unanswered_since_{};
  TimePoint measured_at_{};       // when the round trip was measured last, or a packet was sent to do so
  bool unmeasured_ = false;       // a timeout or another path, and no round trip measured since
  bool provisional_ = false;      // what was measured may be the time that the peer took to move to another path
  TimePoint answered_at_{};       // provisional_: when the first acknowledgement over that came
  TimePoint whole_arrived_at_{};  // the latest packet of at least the base size that was sent with DF
  Duration standstill_{};         // the peer has answered for so long without taking the oldest packet; of a silence kMaxTimeoutGap counts
  int unanswered_ = 0;
  int backoff_ = 0;
  int persist_backoff_ = 0;

  bool end_wanted_ = false;
  bool end_cut_ = false;
  bool recovering_ = false;
  bool probe_in_flight_ = false;
  bool probe_was_new_ = false;
  bool probe_permitted_ = true;
  bool changing_ = false;
  bool blocked_ = false;
  bool always_fragment_ = false;
  bool only_fragments_ = false;
  bool retry_ = false;
  bool copying_ = false;

  uint64_t bytes_sent_ = 0;
  uint64_t packets_sent_ = 0;
  uint64_t packets_resent_ = 0;
  uint64_t timeouts_ = 0;
  uint64_t tail_probes_ = 0;
};

}  // namespace hg::udx
