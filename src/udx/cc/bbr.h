// BBR congestion control: a model of the path (bandwidth, round-trip time, what the bottleneck's queue takes) sets the pacing
// rate and the window. State machine and bounds after draft-ietf-ccwg-bbr-02 ("BBRv3"); probing every few rounds as in BBRv1.
//
//   Startup ─ no growth, or heavy loss ─▶ Drain ─▶ ProbeDown ─▶ ProbeCruise ─▶ ProbeRefill ─▶ ProbeUp ─┐
//                                                     ▲                                                │
//                                                     └────────────────────────────────────────────────┘
//   any ─ nothing near the minimal RTT for 5 s (16 rounds) ─▶ ProbeRtt (half a window for 200 ms) ─▶ back
//
// The bandwidth is the highest mean rate of a whole round since the last probe but one, and no less than 0.7 of what it was if there was
// a timeout; single samples count in the start-up, and in a probe that finds much more room.
//
// ProbeUp goes on as long as the bandwidth grows, and faster after two such rounds: a path that was never filled is filled soon.
// A queue that stands or overflows while we only cruise means that all who share the path send more than it carries: we go down to 0.85
// of what of ours it delivered, at most twice between probes, which is how a newcomer gets its share. Where the delay swings we often make
// such a queue ourselves: if as much was delivered as probes found lately, the next one comes as soon as the queue is gone. Cruising sends
// what the path delivers, without a margin, and what it loses on top.
//
// Loss is taken for congestion only when a round lost clearly more than loss_tolerance() (8 %, plus what chance explains), so
// random loss does not slow it and a shallow queue is never offered much more than it passes on. Loss that stays as high after
// the rate was cut is not ours, and raises the tolerance.
// Owner: the sender. One thread. Bytes are IP packets' bytes, rates bytes per second.
#pragma once

#include <algorithm>
#include <array>
#include <limits>

#include "udx/cc/controller.h"

namespace hg::udx::cc {

class Bbr final : public Controller {
 public:
  /// `random` varies the time between bandwidth probes, so that streams do not probe in step.
  explicit Bbr(uint32_t random);

  void set_packet_size(size_t bytes) override { packet_ = bytes; }
  void on_sent(TimePoint now, size_t in_flight_before, bool app_limited) override;
  void on_ack(const AckEvent& event) override;
  void on_lost(size_t bytes) override;
  void on_loss_undone(size_t bytes) override;
  void on_retransmission_timeout(size_t in_flight) override;
  void on_held_up(Duration late) override;
  void on_path_back(TimePoint now) override;
  size_t window() const override { return window_; }
  double pacing_rate() const override { return pacing_rate_; }
  size_t bandwidth_delay_product() const override { return max_bandwidth() > 0 ? static_cast<size_t>(bdp(max_bandwidth(), 1.0)) : 0; }
  size_t send_quantum() const override { return quantum_; }

  enum class State { kStartup, kDrain, kProbeDown, kProbeCruise, kProbeRefill, kProbeUp, kProbeRtt };
  State state() const { return state_; }
  double bandwidth() const { return std::min(max_bandwidth(), bandwidth_lo_); }
  Duration min_rtt() const { return min_rtt_; }

 private:
  static constexpr double kUpGrowth = 1.1;         // of what kUpGain can show; more room, so the probe goes on
  static constexpr double kMostSwing = 1.5;        // of the minimal RTT: a mean beyond this is a queue
  static constexpr double kQueueTolerance = 0.02;  // of what is sent may be lost while there is a queue; draft-ietf-ccwg-bbr-02
  static constexpr double kNoLimit = std::numeric_limits<double>::infinity();

  // model
  void update_round(const AckEvent& event);
  void update_bandwidth(const AckEvent& event);
  void update_aggregation(const AckEvent& event);
  /// True when a ProbeRtt is due.
  bool update_min_rtt(const AckEvent& event);
  void end_round();
  void judge_round(const AckEvent& event);
  void adapt_lower_bounds(double loss_ratio);
  void judge_cut();
  bool standing_queue() const;
  /// Whether a packet with this round trip, seconds, met a queue.
  bool met_queue(double rtt) const;
  /// Whether the packets of this round did, on average.
  bool round_met_queue() const;
  /// By how much round trips differ without one, seconds.
  double delay_noise() const;
  /// The delay varies so much that a single round proves little.
  bool noisy() const;
  /// Round trips so short that the hosts' scheduling, not the path, decides what is measured.
  bool short_path() const { return min_rtt_ < kShortPath; }
  /// By how much the round trip usually is above its minimum without a queue: by what the hosts add, or more where the delay varies.
  double usual_swing() const;
  double loss_tolerance() const;
  bool too_much_loss(double lost, double delivered) const;
  /// By more than chance explains.
  bool more_lost_than(double ratio, double lost, double delivered) const;
  double max_bandwidth() const { return std::max(bandwidth_filter_[0], bandwidth_filter_[1]); }
  void rotate_bandwidth_filter();

  // states
  void update_state(const AckEvent& event);
  void check_startup(const AckEvent& event);
  void check_probe_up(const AckEvent& event);
  void check_probe_rtt(const AckEvent& event);
  void end_probe_for_loss(const AckEvent& event);
  void yield_to_queue();
  void enter_down(TimePoint now);
  void enter_cruise();
  void enter_refill();
  void enter_up(TimePoint now);
  void leave_probe_rtt(TimePoint now);
  bool probe_due(TimePoint now) const;
  bool own_queue_gone() const;
  void raise_inflight_hi(const AckEvent& event);
  void leave_timeout(TimePoint now);

  // outputs
  double bdp(double rate, double gain) const;
  double target_in_flight(double gain) const;
  double probe_rtt_window() const;
  double pacing_factor() const;
  void update_outputs(const AckEvent& event);
  void update_window(const AckEvent& event);
  double packets(int n) const { return static_cast<double>(packet_) * n; }
  uint32_t next_random();

  State state_ = State::kStartup;
  size_t packet_ = 1200;
  size_t window_;
  size_t prior_window_ = 0;
  size_t quantum_;
  double pacing_rate_;
  double pacing_gain_;
  double window_gain_;

  std::array<double, 2> bandwidth_filter_{};
  double bandwidth_lo_ = kNoLimit;
  double bandwidth_latest_ = 0;
  double inflight_lo_ = kNoLimit;
  double inflight_hi_ = kNoLimit;
  double inflight_latest_ = 0;

  Duration min_rtt_ = Duration::max();
  TimePoint min_rtt_at_{};
  Duration probe_rtt_min_ = Duration::max();
  TimePoint probe_rtt_min_at_{};
  TimePoint probe_rtt_done_at_{};
  bool probe_rtt_round_done_ = false;

  uint64_t next_round_delivered_ = 0;
  uint64_t round_count_ = 0;
  bool round_start_ = false;
  uint64_t delivered_ = 0;

  double round_lost_ = 0;
  double round_delivered_ = 0;
  Duration round_min_rtt_ = Duration::max();
  Duration last_round_min_rtt_ = Duration::max();
  double rtt_noise_ = 0;  // seconds: by how much the minima of two rounds differ
  double round_rate_sum_ = 0;
  double mean_rate_ = 0;  // of the last round's samples
  double round_rate_weight_ = 0;
  double round_rtt_sum_ = 0;
  int round_rtt_count_ = 0;
  double round_rtt_ = 0;  // seconds: mean of the last whole round
  double usual_rtt_ = 0;  // seconds: of the rounds that found no queue
  int cut_rounds_ = 0;    // since the rate was cut for loss
  double cut_lost_ = 0;
  double cut_delivered_ = 0;
  double loss_floor_ = 0;  // loss that does not depend on our rate
  double usual_loss_ = 0;
  double first_loss_ratio_ = 0;

  double full_bandwidth_ = 0;
  double full_mean_ = 0;  // rate of the whole round that the probe last grew in
  int full_bandwidth_rounds_ = 0;
  int heavy_rounds_ = 0;
  bool filled_pipe_ = false;

  TimePoint phase_start_{};
  uint64_t phase_round_ = 0;
  uint64_t cruise_rounds_ = 0;
  int up_rounds_ = 0;
  int up_growth_ = 0;
  int yields_ = 0;
  bool own_queue_ = false;       // that was yielded to last
  double probed_bandwidth_ = 0;  // highest lately, fading
  uint64_t cruise_round_ = 0;
  uint64_t held_up_round_ = 0;

  double extra_acked_filter_[2] = {0, 0};
  uint64_t extra_acked_round_ = 0;
  TimePoint aggregation_start_{};
  double aggregation_delivered_ = 0;

  bool idle_restart_ = false;
  bool in_timeout_ = false;
  bool silent_ = false;  // there was a timeout since the last probe
  bool have_rtt_ = false;
  uint32_t random_;
};

}  // namespace hg::udx::cc
