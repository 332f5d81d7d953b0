#include "swarm/mover.h"

#include <algorithm>

namespace hg::swarm {

Mover::Mover(Runtime& runtime, Start start, OnFresh on_fresh)
    : runtime_(runtime), start_(std::move(start)), on_fresh_(std::move(on_fresh)), timer_(runtime.timers(), [this] { on_timer(); }) {}

void Mover::want(Why why) {
  if (std::exchange(why_, why) == why) return;
  relayed_pause_ = kFirstPauseRelayed;
  if (why == Why::kNothing) {
    timer_.disarm();
    if (may_stop()) attempt_.reset();
  } else if (why == Why::kSilent) {
    if (may_stop()) attempt_.reset();  // it sought a direct path only
    if (!attempt_) timer_.arm(runtime_.now());
  } else if (!attempt_) {
    pause();
  }
}

void Mover::network_changed() {
  relayed_pause_ = kFirstPauseRelayed;
  if (why_ == Why::kNothing) return;
  if (may_stop()) attempt_.reset();
  if (!attempt_) timer_.arm(runtime_.now());
}

void Mover::on_timer() {
  if (!attempt_) return begin();
  if (attempt_->stage() != peer::Attempt::Stage::kSearching) return;
  attempt_.reset();
  pause();  // others may be waiting for their turn
}

void Mover::begin() {
  attempt_ = start_(why_, [this](auto result) { on_over(std::move(result)); });
  if (!attempt_) return timer_.arm(runtime_.now() + kPauseBusy);
  if (why_ == Why::kSilent) timer_.arm(runtime_.now() + kUnanswered);
}

void Mover::on_over(Expected<std::unique_ptr<noise::SecureConnection>> result) {
  const auto attempt = std::move(attempt_);  // its callback is running
  timer_.disarm();
  if (result) {
    pause();                               // should the fresh connection be of no use
    return on_fresh_(std::move(*result));  // which may end this
  }
  pause();
}

void Mover::pause() {
  if (why_ == Why::kNothing) return;
  if (why_ == Why::kSilent) return timer_.arm(runtime_.now() + kPauseSilent);
  timer_.arm(runtime_.now() + relayed_pause_);
  relayed_pause_ = std::min(relayed_pause_ * 2, kMostPauseRelayed);
}

}  // namespace hg::swarm
