// BBR: the states and what they put out. The path model is in bbr_model.cc.
#include "udx/cc/bbr.h"

#include <algorithm>

namespace hg::udx::cc {

namespace {

// draft-ietf-ccwg-bbr-02 unless said otherwise
constexpr double kStartupPacingGain = 2.77;
constexpr double kStartupWindowGain = 2.77;  // BBRv1 has one gain for both; the draft's 2.0 here costs every start a round trip more
constexpr double kWindowGain = 2.0;
constexpr double kUpWindowGain = 2.25;  // kWindowGain where the delay varies: what is allowed for that leaves room enough
constexpr double kDrainGain = 0.5;
constexpr double kDownGain = 0.75;  // BBRv1: drains the probe's queue within one round
constexpr double kUpGain = 1.25;
constexpr double kPacingMargin = 0.99;
constexpr double kHeadroom = 0.9;  // part of inflight_hi used while cruising
constexpr double kBeta = 0.7;
constexpr int kInitialWindow = 32;  // packets, as Google's QUIC: the 10 of RFC 6928 take almost two round trips more
constexpr int kMinWindow = 4;       // packets
constexpr double kMaxQuantum = 64 << 10;
constexpr double kHostWindow = 512 << 10;  // bytes: most that this may add up to (a socket's receive buffer)
constexpr int kFullRounds = 3;
constexpr double kFullGrowth = 1.25;
constexpr int kStartupLosses = 6;       // packets
constexpr int kStartupHeavyRounds = 2;  // without growth in between: one alone may be reordering that RACK has yet to learn
constexpr double kProbeRttPart = 0.5;   // of the BDP
constexpr Duration kProbeRttTime = 200ms;
constexpr uint64_t kCruiseRounds = 6;  // BBRv1 has 6; up to 3 more at random
constexpr Duration kMinCycle = 20ms;   // probing in every few rounds of a loopback path is noise
constexpr Duration kMaxCycle = 3s;
constexpr double kUpMeanGrowth = 1.03;   // of a whole round: the highest sample alone may be chance
constexpr int kUpRounds = 3;             // without growth and without a queue, where the delay varies
constexpr int kUpPatience = 2;           // rounds of such growth, then
constexpr double kYield = 0.85;          // of the rate delivered
constexpr uint64_t kOwnQueueRounds = 2;  // of cruising: in the first, what was sent draining is delivered, which is not what the path can
constexpr int kMostYields = 2;           // between two probes: others may keep the queue full whatever we do
constexpr double kLeastYield = 0.4;      // of the bandwidth seen lately: others may fill the queue whatever we do
constexpr double kOwnQueueShare = 0.85;  // of what the probes found lately: who delivers that much while a queue stands made it alone
constexpr double kProbesFade = 0.98;     // per probe: as much has been forgotten after eight
constexpr double kMostMadeUp = 0.02;     // of the rate, for what the path loses
constexpr double kUpFastGain = 2.0;      // the path has become another one (or was never filled)

}  // namespace

Bbr::Bbr(uint32_t random)
    : window_(packet_ * kInitialWindow),
      quantum_(packet_ * kInitialWindow),
      pacing_rate_(kStartupPacingGain * static_cast<double>(packet_ * kInitialWindow) / 0.001),
      pacing_gain_(kStartupPacingGain),
      window_gain_(kStartupWindowGain),
      random_(random | 1) {}

uint32_t Bbr::next_random() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 17;
  random_ ^= random_ << 5;
  return random_;
}

void Bbr::on_sent(TimePoint now, size_t in_flight_before, bool app_limited) {
  if (in_flight_before != 0 || !app_limited) return;
  idle_restart_ = true;
  aggregation_start_ = now;
  aggregation_delivered_ = 0;
  if (state_ == State::kProbeRtt && probe_rtt_done_at_ != TimePoint{} && now > probe_rtt_done_at_) leave_probe_rtt(now);
}

void Bbr::on_ack(const AckEvent& event) {
  if (in_timeout_) leave_timeout(event.now);
  if (!have_rtt_ && event.rtt > Duration::zero()) {
    have_rtt_ = true;
    pacing_rate_ = kStartupPacingGain * static_cast<double>(window_) / std::max(to_seconds(event.rtt), 1e-4);
  }
  round_lost_ += static_cast<double>(event.lost);
  round_delivered_ += static_cast<double>(event.acked);
  if (event.rtt > Duration::zero()) {
    round_min_rtt_ = std::min(round_min_rtt_, event.rtt);
    round_rtt_sum_ += to_seconds(event.rtt);
    ++round_rtt_count_;
  }
  delivered_ = event.delivered_total;
  update_round(event);
  update_bandwidth(event);
  if (round_start_) judge_round(event);
  update_aggregation(event);
  check_startup(event);
  update_state(event);
  check_probe_rtt(event);
  update_outputs(event);
  if (round_start_) end_round();
  idle_restart_ = false;
}

// ── states ──

void Bbr::check_startup(const AckEvent& event) {
  if (filled_pipe_ || !round_start_ || event.rate.app_limited) return;
  if (max_bandwidth() >= full_bandwidth_ * kFullGrowth) {
    full_bandwidth_ = max_bandwidth();
    full_bandwidth_rounds_ = heavy_rounds_ = 0;
    return;
  }
  full_bandwidth_rounds_ += standing_queue() ? 2 : 1;
  if (full_bandwidth_rounds_ >= kFullRounds) filled_pipe_ = true;
}

void Bbr::judge_round(const AckEvent& event) {
  const double total = round_lost_ + round_delivered_;
  const double ratio = total > 0 ? round_lost_ / total : 0;
  if (!event.rate.app_limited && !short_path()) yield_to_queue();
  usual_loss_ += (ratio - usual_loss_) / 8;
  loss_floor_ = std::min(loss_floor_, 1.1 * usual_loss_);
  judge_cut();
  if (!too_much_loss(round_lost_, round_delivered_)) return;
  if (state_ == State::kStartup) {
    if (round_lost_ < packets(kStartupLosses) || ++heavy_rounds_ < kStartupHeavyRounds) return;
    filled_pipe_ = true;
    inflight_hi_ = std::max(bdp(max_bandwidth(), 1.0), inflight_latest_);
  } else if (state_ == State::kProbeUp || state_ == State::kProbeRefill) {
    end_probe_for_loss(event);
  } else {
    adapt_lower_bounds(ratio);
  }
}

// Together with others we send more than the path carries: go down to what of ours it delivered, so that a newcomer finds room. Neither
// a probe's own queue nor what the start-up did is taken for theirs,
// nor is it a standing one where this machine was that late to hear.
void Bbr::yield_to_queue() {
  if (state_ != State::kProbeCruise || round_count_ == cruise_round_) return;
  const bool probed = bandwidth_filter_[0] > 0;
  const bool overflow = round_met_queue() && probed && more_lost_than(kQueueTolerance, round_lost_, round_delivered_);
  const bool held_up = round_count_ <= held_up_round_ + 1;
  const bool standing = !held_up && standing_queue() && round_count_ - cruise_round_ >= kOwnQueueRounds;
  if ((!overflow && !standing) || yields_ >= kMostYields) return;
  ++yields_;
  own_queue_ = noisy() && mean_rate_ >= kOwnQueueShare * probed_bandwidth_;
  const double most = kYield * std::max(bandwidth_latest_, kLeastYield * max_bandwidth());
  for (double& bandwidth : bandwidth_filter_) bandwidth = std::min(bandwidth, most);
}

void Bbr::end_probe_for_loss(const AckEvent& event) {
  inflight_hi_ = std::max(static_cast<double>(event.rate.in_flight_at_send), target_in_flight(1.0) * kBeta);
  enter_down(event.now);
}

void Bbr::update_state(const AckEvent& event) {
  const double in_flight = static_cast<double>(event.in_flight);
  switch (state_) {
    case State::kStartup:
      if (filled_pipe_) {
        state_ = State::kDrain;
        pacing_gain_ = kDrainGain;
        window_gain_ = kWindowGain;
      }
      break;
    case State::kDrain:
      if (in_flight <= target_in_flight(1.0)) enter_down(event.now);
      break;
    case State::kProbeDown:
      if (probe_due(event.now))
        enter_refill();
      else if (in_flight <= std::min(target_in_flight(usual_swing()), kHeadroom * inflight_hi_))
        enter_cruise();
      break;
    case State::kProbeCruise:
      if (probe_due(event.now) || own_queue_gone()) enter_refill();
      break;
    case State::kProbeRefill:
      if (round_start_) enter_up(event.now);
      break;
    case State::kProbeUp:
      check_probe_up(event);
      break;
    case State::kProbeRtt:
      break;
  }
}

bool Bbr::probe_due(TimePoint now) const {
  const Duration elapsed = now - phase_start_;
  return elapsed >= kMaxCycle || (elapsed >= kMinCycle && round_count_ - phase_round_ >= cruise_rounds_);
}

// Nobody is there to use what a yield to one's own queue leaves.
bool Bbr::own_queue_gone() const { return own_queue_ && round_start_ && round_rtt_count_ > 0 && !round_met_queue(); }

void Bbr::enter_down(TimePoint now) {
  state_ = State::kProbeDown;
  pacing_gain_ = kDownGain;
  window_gain_ = kWindowGain;
  yields_ = 0;
  own_queue_ = false;
  phase_start_ = now;
  phase_round_ = round_count_;
  cruise_rounds_ = kCruiseRounds + next_random() % 4;
}

void Bbr::enter_cruise() {
  state_ = State::kProbeCruise;
  cruise_round_ = round_count_;
  pacing_gain_ = 1.0;
}

void Bbr::enter_refill() {
  state_ = State::kProbeRefill;
  pacing_gain_ = 1.0;
  bandwidth_lo_ = inflight_lo_ = kNoLimit;
  next_round_delivered_ = delivered_;
}

void Bbr::enter_up(TimePoint now) {
  state_ = State::kProbeUp;
  pacing_gain_ = kUpGain;
  window_gain_ = noisy() ? kWindowGain : kUpWindowGain;
  phase_start_ = now;
  up_rounds_ = 0;
  up_growth_ = 0;
  full_bandwidth_ = full_mean_ = max_bandwidth();
  probed_bandwidth_ = std::max(kProbesFade * probed_bandwidth_, max_bandwidth());
  rotate_bandwidth_filter();
}

void Bbr::check_probe_up(const AckEvent& event) {
  if (event.rate.valid && too_much_loss(static_cast<double>(event.rate.lost), static_cast<double>(event.rate.delivered))) {
    end_probe_for_loss(event);
    return;
  }
  raise_inflight_hi(event);
  if (!round_start_) return;
  // The first round delivers what was sent before the probe.
  if (++up_rounds_ < 2) return;
  if (short_path() && static_cast<double>(event.prior_in_flight) >= target_in_flight(kUpGain)) return enter_down(event.now);
  const bool grew = max_bandwidth() >= full_bandwidth_ * kUpGrowth && mean_rate_ >= full_mean_ * kUpMeanGrowth;
  if (!grew && (!noisy() || standing_queue() || up_rounds_ >= kUpRounds)) return enter_down(event.now);
  if (!grew) return;
  full_bandwidth_ = max_bandwidth();
  full_mean_ = mean_rate_;
  up_rounds_ = 1;
  if (inflight_hi_ != kNoLimit) inflight_hi_ = std::max(inflight_hi_, bdp(max_bandwidth(), kUpWindowGain));
  if (!standing_queue() && ++up_growth_ >= kUpPatience) pacing_gain_ = kUpFastGain;
}

void Bbr::raise_inflight_hi(const AckEvent& event) {
  if (inflight_hi_ == kNoLimit) return;
  inflight_hi_ = std::max(inflight_hi_, static_cast<double>(event.rate.in_flight_at_send));
  if (static_cast<double>(event.prior_in_flight) + packets(1) < inflight_hi_) return;
  inflight_hi_ += static_cast<double>(event.acked) * (1 << std::min(up_rounds_, 4)) / 8;
}

void Bbr::check_probe_rtt(const AckEvent& event) {
  const bool expired = update_min_rtt(event);
  if (state_ != State::kProbeRtt) {
    if (!expired || idle_restart_) return;
    state_ = State::kProbeRtt;
    pacing_gain_ = 1.0;
    prior_window_ = std::max(prior_window_, window_);
    probe_rtt_done_at_ = {};
    return;
  }
  if (probe_rtt_done_at_ == TimePoint{}) {
    if (static_cast<double>(event.in_flight) > probe_rtt_window()) return;
    probe_rtt_done_at_ = event.now + kProbeRttTime;
    probe_rtt_round_done_ = false;
    next_round_delivered_ = delivered_;
    return;
  }
  if (round_start_) probe_rtt_round_done_ = true;
  if (probe_rtt_round_done_ && event.now > probe_rtt_done_at_) leave_probe_rtt(event.now);
}

void Bbr::leave_probe_rtt(TimePoint now) {
  probe_rtt_min_at_ = now;
  window_ = std::max(window_, prior_window_);
  prior_window_ = 0;
  if (filled_pipe_) {
    enter_down(now);
    enter_cruise();
    return;
  }
  state_ = State::kStartup;
  pacing_gain_ = kStartupPacingGain;
  window_gain_ = kStartupWindowGain;
}

// ── outputs ──

double Bbr::bdp(double rate, double gain) const {
  if (min_rtt_ == Duration::max()) return packets(kInitialWindow);
  return gain * rate * to_seconds(min_rtt_);
}

double Bbr::target_in_flight(double gain) const { return std::max(bdp(bandwidth(), gain), packets(kMinWindow)); }

double Bbr::probe_rtt_window() const { return std::max(bdp(bandwidth(), kProbeRttPart), packets(kMinWindow)); }

// The margin keeps queues short that probes leave. Cruising leaves none: what the path delivers is sent, and what it loses has room, too.
double Bbr::pacing_factor() const {
  if (state_ != State::kProbeCruise) return pacing_gain_ * kPacingMargin / (1 - loss_floor_);
  return 1 / (1 - std::max(loss_floor_, std::min(usual_loss_, kMostMadeUp)));
}

void Bbr::update_outputs(const AckEvent& event) {
  const double rate = pacing_factor() * bandwidth();
  if (rate > 0 && (filled_pipe_ || rate > pacing_rate_)) pacing_rate_ = rate;
  quantum_ = static_cast<size_t>(std::clamp(pacing_rate_ * 0.001, packets(2), std::max(kMaxQuantum, packets(2))));
  update_window(event);
}

void Bbr::update_window(const AckEvent& event) {
  // While it starts up the window grows no more once a queue shows: enough is under way.
  const double gain = !filled_pipe_ && met_queue(to_seconds(event.rtt)) ? 0 : window_gain_;
  double most = bdp(bandwidth(), gain) + std::max(extra_acked_filter_[0], extra_acked_filter_[1]);
  const double for_hosts = std::min(bandwidth() * window_gain_ * to_seconds(kShortPath), kHostWindow);
  most = std::max({most, for_hosts, 3.0 * static_cast<double>(quantum_), packets(kMinWindow)});
  double window = static_cast<double>(window_);
  const double grown = window + static_cast<double>(event.acked);
  if (filled_pipe_)
    window = std::min(grown, most);
  else if (window < most || delivered_ < static_cast<uint64_t>(packets(kInitialWindow)))
    window = grown;

  double bound = kNoLimit;
  if (state_ == State::kProbeCruise || state_ == State::kProbeRtt)
    bound = kHeadroom * inflight_hi_;
  else if (state_ == State::kProbeDown || state_ == State::kProbeRefill || state_ == State::kProbeUp)
    bound = inflight_hi_;
  // Where the delay varies, the minimal round trip's worth of packets does not keep the path busy.
  if (min_rtt_ != Duration::max() && !short_path())
    bound = std::max(bound, bandwidth() * std::min(round_rtt_, kMostSwing * to_seconds(min_rtt_)));
  bound = std::min(bound, inflight_lo_);
  if (state_ == State::kProbeRtt) bound = std::min(bound, probe_rtt_window());
  window = std::max(std::min(window, bound), packets(kMinWindow));
  window_ = static_cast<size_t>(window);
}

// ── loss events ──

void Bbr::on_lost(size_t bytes) { round_lost_ += static_cast<double>(bytes); }

void Bbr::on_loss_undone(size_t bytes) { round_lost_ = std::max(0.0, round_lost_ - static_cast<double>(bytes)); }

void Bbr::on_retransmission_timeout(size_t in_flight) {
  if (!in_timeout_) prior_window_ = std::max(prior_window_, window_);
  in_timeout_ = silent_ = true;
  window_ = in_flight + packet_;
}

void Bbr::on_path_back(TimePoint now) {
  if (in_timeout_) leave_timeout(now);
}

// The path is back; pacing keeps what comes now to the rate it had. The silence has emptied whatever queue a ProbeRtt was waiting for.
void Bbr::leave_timeout(TimePoint now) {
  in_timeout_ = false;
  if (state_ == State::kProbeRtt) return leave_probe_rtt(now);
  window_ = std::max(window_, prior_window_);
  prior_window_ = 0;
}

}  // namespace hg::udx::cc
