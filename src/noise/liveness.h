// Whether the other side is still there: when to ask it for a sign of life, and when to stop waiting.
//
//   heard ── quiet for a while ──▶ asking ── unanswered ──▶ [patient: silent ──▶ asking on ──]──▶ dead
//     ▲                              │                               │
//     └────────── anything heard ────┴───────────────────────────────┘
//
// A plain connection asks 3 s after the last packet, every 1.5 s, and is dead 9 s after it. A patient one (both ends can move
// it to another path) notices sooner: it asks as soon as an answer is owed for longer than the path takes, counts as silent
// after three questions (two after an event that made the path suspect), and is given up only after kHold. Pure state, time passed in.
// Owned by the connection.
#pragma once

#include <algorithm>
#include <optional>

#include "base/time.h"

namespace hg::noise {

class Liveness {
 public:
  static constexpr Duration kAskAfter = 3s;
  static constexpr Duration kAskEvery = 1500ms;
  static constexpr Duration kDeadAfter = 9s;
  static constexpr int kAsksBeforeDead = 4;

  static constexpr Duration kOwedFor = 600ms;     // patient: at least this long, and 4 round trips; a lost tail is repaired sooner
  static constexpr Duration kAskQuickly = 300ms;  // patient: between questions, at least; and 2 round trips
  static constexpr int kAsksBeforeSilent = 3;
  static constexpr Duration kAskSuspect = 150ms;  // patient, after an event
  static constexpr int kAsksBeforeSilentSuspect = 2;
  static constexpr Duration kAskWhileSilent = 500ms;
  static constexpr Duration kHold = 60s;  // patient: from the first unanswered question

  struct View {
    TimePoint now;
    TimePoint heard;                      // last packet of the peer
    std::optional<TimePoint> owed_since;  // an answer is due since then
    Duration rtt{};                       // smoothed; zero: unknown
  };
  enum class Step { kNone, kAsk, kSilent, kDead };  // kSilent: ask, too

  void be_patient() { patient_ = true; }
  bool patient() const { return patient_; }
  bool silent() const { return silent_; }
  /// The path may have changed: ask now instead of waiting.
  void suspect(TimePoint now) {
    if (!silent_) suspected_at_ = now;
  }

  /// What is due now. Called at next() at the latest.
  Step step(const View& view) {
    notice(view);
    if (view.now < next(view)) return Step::kNone;
    if (given_up(view)) return Step::kDead;
    if (asks_++ == 0) first_ask_ = view.now;
    last_ask_ = view.now;
    if (!patient_ || silent_ || asks_ <= (suspected_at_ ? kAsksBeforeSilentSuspect : kAsksBeforeSilent)) return Step::kAsk;
    silent_ = true;
    return Step::kSilent;
  }

  TimePoint next(const View& view) const {
    if (asks_ > 0 && view.heard <= heard_) return last_ask_ + gap(view);
    TimePoint at = view.heard + kAskAfter;
    if (!patient_) return at;
    if (view.owed_since) at = std::min(at, std::max(view.heard, *view.owed_since) + std::max<Duration>(kOwedFor, 4 * view.rtt));
    if (suspected_at_) at = std::min(at, *suspected_at_);
    return at;
  }

 private:
  void notice(const View& view) {
    if (view.heard <= heard_) return;
    heard_ = view.heard;
    if (suspected_at_ && heard_ > *suspected_at_) suspected_at_.reset();
    asks_ = 0;
    silent_ = false;
  }
  Duration gap(const View& view) const {
    if (!patient_) return kAskEvery;
    return silent_ ? kAskWhileSilent : std::clamp<Duration>(2 * view.rtt, suspected_at_ ? kAskSuspect : kAskQuickly, kAskEvery);
  }
  bool given_up(const View& view) const {
    if (asks_ < kAsksBeforeDead) return false;
    return patient_ ? view.now - first_ask_ >= kHold : view.now - heard_ >= kDeadAfter;
  }

  bool patient_ = false;
  bool silent_ = false;
  int asks_ = 0;  // unanswered
  TimePoint heard_{};
  TimePoint first_ask_{};
  TimePoint last_ask_{};
  std::optional<TimePoint> suspected_at_;
};

}  // namespace hg::noise
