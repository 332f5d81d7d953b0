// RACK loss detection (RFC 8985 section 6): a packet is lost when one sent later was delivered and a reordering window has
// passed since its own time was up. The window adapts: to how late packets were that came after later ones or were declared lost too soon
// (the RFC learns only that it happened, from DSACK, and widens by quarters of the RTT: far too much for what a host swaps now and then).
// Once is chance, a host that hesitated: the window is wide enough for the lesser of any two events in a row.
// Owner: the sender. One thread.
#pragma once

#include <algorithm>
#include <utility>

#include "base/time.h"
#include "udx/rtt.h"
#include "udx/seq.h"

namespace hg::udx {

class Rack {
 public:
  static constexpr int kDupThreshold = 3;    // RFC 8985 6.2.4
  static constexpr int kWindowPersist = 16;  // recoveries, RFC 8985 6.2.4
  static constexpr Duration kLeastWindow = 1ms;

  void on_delivered(Seq seq, TimePoint sent_at, bool sent_again, TimePoint now, const RttEstimator& rtt) {
    const Duration sample = now - sent_at;
    if (!sent_again && have_highest_ && seq_before(seq, highest_)) on_late(sample - rtt_, now);
    if (!have_highest_ || seq_before(highest_, seq)) highest_ = seq, have_highest_ = true;
    if (sent_again && rtt.known() && sample < rtt.min()) return;  // the acknowledgement is for an earlier sending
    rtt_ = sample;
    if (!have_latest_ || sent_after(sent_at, seq, latest_sent_, latest_seq_)) {
      have_latest_ = true;
      latest_sent_ = sent_at;
      latest_seq_ = seq;
    }
  }
  /// A packet arrived after ones sent later, `by` so much after the time that they took. What is late within a round trip is one event.
  void on_late(Duration by, TimePoint now) {
    if (!reordering_seen_ || now - event_at_ >= rtt_) {
      before_by_ = std::exchange(event_by_, by);
      event_at_ = now;
    } else {
      event_by_ = std::max(event_by_, by);
    }
    reordering_seen_ = true;
    const Duration proven = std::min(before_by_, event_by_);
    if (proven < latest_by_) return;
    latest_by_ = proven;
    persist_ = kWindowPersist;
  }
  void on_recovery_end() {
    if (persist_ == 0 || --persist_ > 0) return;
    latest_by_ /= 2;
    persist_ = kWindowPersist;
  }

  Duration window(bool recovering, size_t sacked_packets, const RttEstimator& rtt) const {
    if (!reordering_seen_ && (recovering || sacked_packets >= kDupThreshold)) return Duration::zero();
    if (!rtt.known()) return Duration::zero();
    const Duration wanted = reordering_seen_ ? std::max<Duration>(kLeastWindow, latest_by_ * 3 / 2) : rtt.min() / 4;
    return std::min(wanted, rtt.smoothed());
  }
  /// Whether the latest delivered packet was sent after this one.
  bool overtaken(TimePoint sent_at, Seq seq) const { return have_latest_ && sent_after(latest_sent_, latest_seq_, sent_at, seq); }
  Duration rtt() const { return rtt_; }

 private:
  static bool sent_after(TimePoint a, Seq a_seq, TimePoint b, Seq b_seq) { return a > b || (a == b && seq_before(b_seq, a_seq)); }

  TimePoint latest_sent_{};
  Duration rtt_{};
  Seq latest_seq_ = 0;
  Seq highest_ = 0;
  TimePoint event_at_{};
  Duration event_by_{};   // of the latest event,
  Duration before_by_{};  // of the one before
  Duration latest_by_{};  // proven by two in a row, not long ago
  int persist_ = 0;
  bool have_latest_ = false;
  bool have_highest_ = false;
  bool reordering_seen_ = false;
};

}  // namespace hg::udx
