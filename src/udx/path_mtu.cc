#include "udx/path_mtu.h"

#include <algorithm>
#include <array>

namespace hg::udx {

namespace {

// Sizes that occur: IPv6 minimum, mobile and tunnel links, WireGuard, VXLAN, 1200 + 255, GRE, IPIP, PPPoE, Ethernet.
constexpr std::array<size_t, 10> kLadder = {1280, 1360, 1400, 1420, 1440, 1455, 1472, 1480, 1492, 1500};

}  // namespace

void PathMtu::set_interface_limit(size_t ip_bytes) {
  interface_limit_ = ip_bytes == 0 ? kLargest : std::clamp(ip_bytes, kBase, kLargest);
  limit_ = std::min(limit_, interface_limit_);
}

void PathMtu::restart() { *this = PathMtu(); }

std::optional<size_t> PathMtu::wanted_probe(TimePoint now) {
  if (state_ == State::kComplete && mtu_ < interface_limit_ && now >= raise_at_) {
    limit_ = interface_limit_;
    choose_next(now);
  }
  if (state_ != State::kSearch || probe_in_flight_) return std::nullopt;
  return candidate_;
}

void PathMtu::choose_next(TimePoint now) {
  probes_lost_ = 0;
  const size_t reach = std::min(limit_, mtu_ + kMaxPadding);
  std::array<size_t, kLadder.size() + 1> sizes{};
  size_t count = 0;
  for (size_t size : kLadder)
    if (size > mtu_ && size <= reach) sizes[count++] = size;
  if (reach == interface_limit_ && reach > mtu_ && (count == 0 || sizes[count - 1] != reach)) sizes[count++] = reach;
  if (count == 0) {
    state_ = State::kComplete;
    raise_at_ = now + kRaiseAfter;
    return;
  }
  // Most paths take the largest; after one refusal, halve.
  state_ = State::kSearch;
  candidate_ = limit_ == interface_limit_ ? sizes[count - 1] : sizes[count / 2];
}

void PathMtu::on_probe_acked(size_t ip_bytes, TimePoint now) {
  probe_in_flight_ = false;
  if (state_ != State::kSearch || ip_bytes <= mtu_) return;
  mtu_ = ip_bytes;
  large_acked_at_ = now;
  choose_next(now);
}

void PathMtu::on_probe_lost(size_t ip_bytes, TimePoint now) {
  probe_in_flight_ = false;
  if (state_ != State::kSearch || ip_bytes != candidate_) return;
  if (++probes_lost_ < kMaxProbes) return;
  limit_ = ip_bytes - 1;
  choose_next(now);
}

void PathMtu::on_acked(size_t ip_bytes, TimePoint now) {
  if (state_ == State::kBaseline) choose_next(now);
  if (ip_bytes > kBase) large_acked_at_ = now;
}

bool PathMtu::on_lost(size_t ip_bytes, int sendings, TimePoint now) {
  if (ip_bytes <= kBase || mtu_ <= kBase) return false;
  if (sendings < kBlackHoleSendings || now - large_acked_at_ < kBlackHoleSilence) return false;
  mtu_ = kBase;
  state_ = State::kComplete;
  probe_in_flight_ = false;
  raise_at_ = now + kRaiseAfterBlackHole;
  return true;
}

// The device may take more again later: interface_limit_ stays, and with it the next raise.
void PathMtu::on_too_big(size_t ip_bytes, TimePoint now) {
  limit_ = std::min(limit_, std::max(kBase, ip_bytes - 1));
  probe_in_flight_ = false;
  if (mtu_ > limit_) mtu_ = kBase;
  if (state_ != State::kBaseline) choose_next(now);
}

}  // namespace hg::udx
