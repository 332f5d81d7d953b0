#include "peer/random_punch_guard.h"

#include <algorithm>
#include <cassert>

namespace hg::peer {

bool RandomPunchGuard::may_begin(TimePoint now, std::optional<uint32_t> host) const {
  if (claim_) return false;
  if (host && std::any_of(failed_.begin(), failed_.end(), [&](const Failed& f) { return f.host == *host && now < f.waits_until; }))
    return false;
  if (running_) return running_->host && running_->host != host && now - running_->began >= kTurn;
  return now >= paused_until_;
}

void RandomPunchGuard::begin(TimePoint now, std::optional<uint32_t> host, std::function<void()> give_way) {
  if (running_) {
    assert(running_->host);
    const auto end_it = std::move(running_->give_way);
    end_it();
  }
  running_ = Running{now, host, std::move(give_way)};
}

void RandomPunchGuard::end(TimePoint now, bool path_found) {
  const auto host = running_->host;
  const Duration took = now - running_->began;
  const Duration whole = std::min(kInterval, took);
  running_.reset();
  paused_until_ = now + (path_found || host ? took / 4 : whole);
  if (!host) return;
  if (path_found)
    std::erase_if(failed_, [&](const Failed& f) { return f.host == *host; });
  else
    note_failure(now, *host, whole);
}

void RandomPunchGuard::note_failure(TimePoint now, uint32_t host, Duration took) {
  std::erase_if(failed_, [&](const Failed& f) { return now >= f.waits_until + kForgetAfter; });
  Failed record{host, 0, {}};
  if (const auto known = std::find_if(failed_.begin(), failed_.end(), [&](const Failed& f) { return f.host == host; });
      known != failed_.end()) {
    record = *known;
    failed_.erase(known);
  }
  const bool had_its_turn = took >= kTurn;
  const bool again = had_its_turn && record.times > 0;
  record.waits_until = now + (again ? std::min(kInterval * (1 << std::min(record.times, 10)), kMostWait) : took);
  if (had_its_turn) record.times++;
  failed_.push_back(record);
  if (failed_.size() > kMaxHosts) failed_.pop_front();
}

void RandomPunchGuard::give_way_to(const PublicKey& peer) {
  if (!claim_ || claim_->peer != peer || peer < claim_->own) return;
  const auto give_up = claim_->give_up;
  give_up();
}

}  // namespace hg::peer
