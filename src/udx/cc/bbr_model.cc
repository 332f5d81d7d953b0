// BBR: the model of the path. Rounds, bandwidth, minimal round-trip time, aggregation of acks, judgement of loss.
#include <algorithm>
#include <cmath>

#include "udx/cc/bbr.h"

namespace hg::udx::cc {

namespace {

constexpr Duration kProbeRttInterval = 5s;  // draft-ietf-ccwg-bbr-02; its window of the minimum is two of them
constexpr int kProbeRttRounds = 16;         // but no sooner: a probe costs about two rounds at half the rate
constexpr double kNearMinRtt = 1.125;       // and the delay's usual noise: a path whose delay varies shows its very minimum rarely
constexpr double kBeta = 0.7;               // draft-ietf-ccwg-bbr-02
constexpr double kBaseTolerance = 0.08;     // without one: the draft's 2 % would let ordinary radio loss throttle a stream
constexpr double kStandingQueue = 1.15;     // of the minimal RTT, in every packet of a round
constexpr double kMetQueue = 1.05;          // of the minimal RTT, in one packet
constexpr Duration kQueueNoise = 2ms;
constexpr double kNoisy = 0.05;      // of the minimal RTT, and what the hosts add
constexpr double kNoiseMargin = 3;   // times what the minima of rounds usually differ by
constexpr double kMostNoise = 0.75;  // of the minimal RTT: what varies more is a queue that comes and goes
constexpr double kFloorMargin = 0.05;
constexpr double kMaxFloor = 0.3;
constexpr double kCut = 0.85;               // of the bandwidth: what must be left for a cut to be one
constexpr int kCutRounds = 3;               // and
constexpr int kCutPackets = 64;             // before it is judged
constexpr uint64_t kAggregationRounds = 5;  // half of the draft's window; two halves are kept

}  // namespace

void Bbr::update_round(const AckEvent& event) {
  round_start_ = event.rate.valid && event.rate.prior_delivered >= next_round_delivered_;
  if (!round_start_) return;
  mean_rate_ = round_rate_weight_ > 0 ? round_rate_sum_ / round_rate_weight_ : 0;
  if (!short_path()) bandwidth_filter_[1] = std::max(bandwidth_filter_[1], mean_rate_);
  round_rate_sum_ = round_rate_weight_ = 0;
  next_round_delivered_ = delivered_;
  ++round_count_;
}

void Bbr::end_round() {
  if (round_rtt_count_ > 0) {
    round_rtt_ = round_rtt_sum_ / round_rtt_count_;
    if (state_ == State::kProbeCruise && round_count_ != cruise_round_ && !standing_queue())
      usual_rtt_ += (round_rtt_ - usual_rtt_) / (usual_rtt_ == 0 ? 1 : 4);
    if (last_round_min_rtt_ != Duration::max()) rtt_noise_ += (std::abs(to_seconds(round_min_rtt_ - last_round_min_rtt_)) - rtt_noise_) / 4;
    last_round_min_rtt_ = round_min_rtt_;
  }
  round_rtt_sum_ = round_rtt_count_ = 0;
  round_lost_ = round_delivered_ = 0;
  round_min_rtt_ = Duration::max();
  bandwidth_latest_ = inflight_latest_ = 0;
}

void Bbr::update_bandwidth(const AckEvent& event) {
  const RateSample& rate = event.rate;
  if (!rate.valid || rate.interval <= Duration::zero()) return;
  if (min_rtt_ != Duration::max() && rate.interval < min_rtt_) return;
  const double sample = static_cast<double>(rate.delivered) / to_seconds(rate.interval);
  bandwidth_latest_ = std::max(bandwidth_latest_, sample);
  inflight_latest_ = std::max(inflight_latest_, static_cast<double>(rate.delivered));
  if (rate.app_limited && sample < max_bandwidth()) return;
  // Once the pipe is filled single samples are chance, a millisecond of the hosts' in a short round trip for instance; rounds' means count.
  const bool leap = state_ == State::kProbeUp && !noisy() && sample > kUpGrowth * full_bandwidth_;
  if (!filled_pipe_ || short_path() || leap) bandwidth_filter_[1] = std::max(bandwidth_filter_[1], sample);
  round_rate_sum_ += sample * static_cast<double>(event.acked);
  round_rate_weight_ += static_cast<double>(event.acked);
}

// What arrived around a silence says little about the rate: a tenth of it, say, from which it would be found again in steps of a quarter.
void Bbr::rotate_bandwidth_filter() {
  if (bandwidth_filter_[1] <= 0) return;
  bandwidth_filter_[0] = std::max(bandwidth_filter_[1], silent_ ? kBeta * bandwidth_filter_[0] : 0);
  bandwidth_filter_[1] = 0;
  silent_ = false;
}

void Bbr::update_aggregation(const AckEvent& event) {
  const double expected = bandwidth() == kNoLimit ? 0 : bandwidth() * to_seconds(event.now - aggregation_start_);
  double ahead = expected;
  if (aggregation_delivered_ <= expected) {
    aggregation_delivered_ = 0;
    aggregation_start_ = event.now;
    ahead = 0;
  }
  aggregation_delivered_ += static_cast<double>(event.acked);
  const double extra = std::min(aggregation_delivered_ - ahead, static_cast<double>(window_));
  if (round_count_ - extra_acked_round_ >= kAggregationRounds) {
    extra_acked_round_ = round_count_;
    extra_acked_filter_[0] = extra_acked_filter_[1];
    extra_acked_filter_[1] = 0;
  }
  if (filled_pipe_) extra_acked_filter_[1] = std::max(extra_acked_filter_[1], extra);
}

bool Bbr::update_min_rtt(const AckEvent& event) {
  const Duration interval =
      min_rtt_ == Duration::max() ? kProbeRttInterval : std::max<Duration>(kProbeRttInterval, kProbeRttRounds * min_rtt_);
  const bool expired = probe_rtt_min_ != Duration::max() && event.now > probe_rtt_min_at_ + interval;
  if (event.rtt > Duration::zero()) {
    if (event.rtt < probe_rtt_min_ || expired) {
      probe_rtt_min_ = event.rtt;
      probe_rtt_min_at_ = event.now;
    } else if (to_seconds(event.rtt) <= kNearMinRtt * to_seconds(probe_rtt_min_) + delay_noise()) {
      probe_rtt_min_at_ = event.now;
    }
  }
  if (probe_rtt_min_ < min_rtt_ || event.now > min_rtt_at_ + 2 * interval) {
    min_rtt_ = probe_rtt_min_;
    min_rtt_at_ = probe_rtt_min_at_;
  }
  return expired;
}

bool Bbr::noisy() const {
  return !short_path() && min_rtt_ != Duration::max() && rtt_noise_ > kNoisy * to_seconds(min_rtt_) + to_seconds(kShortPath);
}

double Bbr::usual_swing() const {
  if (usual_rtt_ == 0) return 1;
  const double most = noisy() ? kMostSwing : 1 + to_seconds(kShortPath) / to_seconds(min_rtt_);
  return std::clamp(usual_rtt_ / to_seconds(min_rtt_), 1.0, most);
}

void Bbr::on_held_up(Duration late) {
  const bool looks_like_a_queue = to_seconds(late) > (kStandingQueue - 1) * to_seconds(min_rtt_) + to_seconds(kQueueNoise);
  if (min_rtt_ != Duration::max() && looks_like_a_queue) held_up_round_ = round_count_;
}

bool Bbr::standing_queue() const {
  if (min_rtt_ == Duration::max() || round_min_rtt_ == Duration::max()) return false;
  return to_seconds(round_min_rtt_) > kStandingQueue * to_seconds(min_rtt_) + to_seconds(kQueueNoise) + delay_noise();
}

bool Bbr::met_queue(double rtt) const {
  return min_rtt_ != Duration::max() && rtt > kMetQueue * to_seconds(min_rtt_) + to_seconds(kQueueNoise) / 2 + delay_noise();
}

bool Bbr::round_met_queue() const { return round_rtt_count_ > 0 && met_queue(round_rtt_sum_ / round_rtt_count_); }

double Bbr::delay_noise() const {
  return min_rtt_ == Duration::max() ? 0 : std::min(kNoiseMargin * rtt_noise_, kMostNoise * to_seconds(min_rtt_));
}

double Bbr::loss_tolerance() const {
  if (loss_floor_ > 0) return std::max(kBaseTolerance, loss_floor_ + kFloorMargin);
  return standing_queue() ? kQueueTolerance : kBaseTolerance;
}

bool Bbr::too_much_loss(double lost, double delivered) const { return more_lost_than(loss_tolerance(), lost, delivered); }

bool Bbr::more_lost_than(double ratio, double lost, double delivered) const {
  const double size = static_cast<double>(packet_);
  const double expected = ratio * (lost + delivered) / size;
  return lost / size > expected + 2 * std::sqrt(expected) + 1;
}

void Bbr::adapt_lower_bounds(double loss_ratio) {
  if (bandwidth_lo_ == kNoLimit) {
    bandwidth_lo_ = max_bandwidth();
    if (cut_rounds_ == 0) first_loss_ratio_ = loss_ratio;
  }
  if (inflight_lo_ == kNoLimit) inflight_lo_ = static_cast<double>(window_);
  bandwidth_lo_ = std::max(bandwidth_latest_, kBeta * bandwidth_lo_);
  inflight_lo_ = std::max(inflight_latest_, kBeta * inflight_lo_);
}

// Whether less is lost since we send less. If not, the loss does not come from our rate.
void Bbr::judge_cut() {
  if (bandwidth_lo_ > kCut * max_bandwidth()) return;
  ++cut_rounds_;
  cut_lost_ += round_lost_;
  cut_delivered_ += round_delivered_;
  const double total = cut_lost_ + cut_delivered_;
  if (cut_rounds_ < kCutRounds || total < packets(kCutPackets)) return;
  const double ratio = cut_lost_ / total;
  if (ratio >= kBeta * first_loss_ratio_) {
    loss_floor_ = usual_loss_ = std::min(ratio, kMaxFloor);
    bandwidth_lo_ = inflight_lo_ = kNoLimit;
  }
  cut_rounds_ = 0;
  cut_lost_ = cut_delivered_ = 0;
}

}  // namespace hg::udx::cc
