// Looks for a fresh path for one connection that may move, as long as it needs one.
//
//   idle ── silent │ relayed ──▶ trying ── connected ──▶ on_fresh
//     ▲                          │    ▲
//     │                          ▼    │ pause
//     └── answering, direct ── failed ┘
//
// Trying is an ordinary connect to the peer's key, with all that is known of NATs. An attempt that the peer has not answered is given up
// soon and begun anew after the pause, so that one begun while the network was away does not last longer than that, and other connections
// get their turn. Once a path is being proven an attempt is never given up: the peer may have moved to it. Owned by the swarm's link;
// destroying it ends the attempt. One thread.
#pragma once

#include <functional>
#include <memory>

#include "base/timer.h"
#include "peer/host.h"

namespace hg::swarm {

class Mover {
 public:
  enum class Why { kNothing, kRelayed, kSilent };
  using Callback = std::function<void(Expected<std::unique_ptr<noise::SecureConnection>>)>;
  /// Begins an attempt; nullptr: too many at a time, ask again soon.
  using Start = std::function<std::unique_ptr<peer::Attempt>(Why why, Callback callback)>;
  using OnFresh = std::function<void(std::unique_ptr<noise::SecureConnection>)>;

  Mover(Runtime& runtime, Start start, OnFresh on_fresh);

  void want(Why why);
  /// The network is another: what is under way may be hopeless, and what was hopeless may work.
  void network_changed();
  bool trying() const { return attempt_ != nullptr; }

 private:
  static constexpr Duration kUnanswered = 2500ms;  // four sends of a handshake to a relay, and more
  static constexpr Duration kPauseSilent = 300ms;
  static constexpr Duration kFirstPauseRelayed = 2s;
  static constexpr Duration kMostPauseRelayed = 60s;
  static constexpr Duration kPauseBusy = 200ms;

  void on_timer();
  void begin();
  void on_over(Expected<std::unique_ptr<noise::SecureConnection>> result);
  bool may_stop() const { return attempt_ && attempt_->stage() != peer::Attempt::Stage::kProving; }
  void pause();

  Runtime& runtime_;
  Start start_;
  OnFresh on_fresh_;
  Why why_ = Why::kNothing;
  std::unique_ptr<peer::Attempt> attempt_;
  Duration relayed_pause_ = kFirstPauseRelayed;
  Timer timer_;
};

}  // namespace hg::swarm
