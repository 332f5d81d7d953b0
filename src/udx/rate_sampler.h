// Delivery rate per acknowledgement (draft-cheng-iccrg-delivery-rate-estimation-02): every packet remembers how much had been
// delivered when it was sent; when it is acknowledged, the difference over the longer of send and ack interval is the rate.
// Bytes are IP packets' bytes. Owner: the sender. One thread.
#pragma once

#include <algorithm>

#include "base/time.h"
#include "udx/cc/controller.h"

namespace hg::udx {

/// What a packet remembers from its latest sending.
struct RateStamp {
  uint64_t delivered = 0;
  uint64_t lost = 0;
  TimePoint delivered_at{};
  TimePoint first_sent_at{};
  uint32_t in_flight = 0;  // bytes, this packet included
  bool app_limited = false;
};

class RateSampler {
 public:
  void on_sent(RateStamp& stamp, TimePoint now, size_t in_flight_before, size_t bytes) {
    if (in_flight_before == 0) first_sent_at_ = delivered_at_ = now;
    stamp = {delivered_, lost_, delivered_at_, first_sent_at_, static_cast<uint32_t>(in_flight_before + bytes), app_limited_until_ > 0};
  }
  void on_lost(size_t bytes) { lost_ += bytes; }
  void on_loss_undone(size_t bytes) { lost_ -= std::min<uint64_t>(bytes, lost_); }
  void on_app_limited(size_t in_flight) { app_limited_until_ = std::max<uint64_t>(delivered_ + in_flight, 1); }

  /// One acknowledgement: begin(), on_delivered() for each newly acknowledged packet, finish().
  void begin() {
    best_ = {};
    have_ = false;
  }
  void on_delivered(const RateStamp& stamp, TimePoint sent_at, TimePoint now, size_t bytes) {
    delivered_ += bytes;
    delivered_at_ = now;
    if (have_ && (sent_at < best_sent_at_ || (sent_at == best_sent_at_ && stamp.delivered < best_.delivered))) return;
    have_ = true;
    best_ = stamp;
    best_sent_at_ = sent_at;
    send_elapsed_ = sent_at - stamp.first_sent_at;
    first_sent_at_ = sent_at;
  }
  /// Which of a packet's sendings arrived is not known.
  void on_delivered_unmeasured(TimePoint now, size_t bytes) {
    delivered_ += bytes;
    delivered_at_ = now;
  }
  cc::RateSample finish() {
    if (app_limited_until_ > 0 && delivered_ > app_limited_until_) app_limited_until_ = 0;
    cc::RateSample sample;
    if (!have_) return sample;
    sample.valid = true;
    sample.prior_delivered = best_.delivered;
    sample.delivered = delivered_ - best_.delivered;
    sample.lost = lost_ - std::min(best_.lost, lost_);
    sample.in_flight_at_send = best_.in_flight;
    sample.app_limited = best_.app_limited;
    sample.interval = std::max(send_elapsed_, delivered_at_ - best_.delivered_at);
    return sample;
  }

  uint64_t delivered() const { return delivered_; }
  uint64_t lost() const { return lost_; }
  bool app_limited() const { return app_limited_until_ > 0; }

 private:
  uint64_t delivered_ = 0;
  uint64_t lost_ = 0;
  uint64_t app_limited_until_ = 0;
  TimePoint delivered_at_{};
  TimePoint first_sent_at_{};
  RateStamp best_;
  TimePoint best_sent_at_{};
  Duration send_elapsed_{};
  bool have_ = false;
};

}  // namespace hg::udx
