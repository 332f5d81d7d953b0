#include "app/traffic_rate.h"

namespace hg::app {

TrafficRate::TrafficRate(Runtime& runtime, std::function<Reading()> read)
    : runtime_(runtime), read_(std::move(read)), timer_(runtime.timers(), [this] { take(); }) {
  take();
}

void TrafficRate::take() {
  const TimePoint now = runtime_.now();
  readings_.emplace_back(now, read_());
  // The next to be the oldest is there before this one goes: the span looked at is kSpan to kSpan less kEvery.
  while (now - readings_.front().first >= kSpan) readings_.pop_front();
  timer_.arm(now + kEvery);
}

std::optional<BothWays> TrafficRate::total(const BothWays& now) const { return since(readings_.front().second.total, now); }

std::optional<BothWays> TrafficRate::of_peer(const PublicKey& peer, const BothWays& now) const {
  const auto& then = readings_.front().second.peers;
  const auto found = then.find(peer);
  return since(found == then.end() ? BothWays{} : found->second, now);
}

std::optional<BothWays> TrafficRate::of_part(const std::shared_ptr<const tunnel::Traffic>& part) const {
  const auto& then = readings_.front().second.parts;
  const auto found = then.find(part);
  return since(found == then.end() ? BothWays{} : found->second, part == nullptr ? BothWays{} : both_ways(*part));
}

std::optional<BothWays> TrafficRate::since(const BothWays& then, const BothWays& now) const {
  const double seconds = to_seconds(runtime_.now() - readings_.front().first);
  if (seconds < 1) return std::nullopt;
  // A connection that was made since, or made anew, counts from zero.
  const bool anew = now.out < then.out || now.in < then.in;
  return BothWays{(now.out - (anew ? 0 : then.out)) / seconds, (now.in - (anew ? 0 : then.in)) / seconds};
}

}  // namespace hg::app
