#include "dht/nat_sampler.h"

namespace hg::dht {
namespace {

constexpr size_t kLookBack = 4;

int slack(size_t samples) { return samples < 4 ? 0 : samples < 8 ? 1 : samples < 12 ? 2 : 3; }

}  // namespace

NatSampler::Shared NatSampler::bump(const Endpoint& address, size_t behind) {
  for (size_t i = 0; i < kLookBack; ++i) {
    const size_t slot = (top_ + 2 * kSlots - behind - 2 * i) % kSlots;
    if (slot >= ring_.size()) break;
    if (ring_[slot]->address != address) continue;
    ring_[slot]->hits++;
    return ring_[slot];
  }
  return std::make_shared<Record>(Record{address});
}

int NatSampler::add(const Endpoint& seen_as) {
  const Shared exact = bump(seen_as, 2);
  const Shared host = bump({seen_as.address, 0}, 1);
  if (ring_.size() < kSlots) {
    ++size_;
    threshold_ = static_cast<int>(size_) - slack(size_);
    ring_.push_back(exact);
    ring_.push_back(host);
    top_ += 2;
  } else {
    if (top_ == kSlots) top_ = 0;
    for (const Shared& fresh : {exact, host}) {
      ring_[top_]->hits--;
      ring_[top_++] = fresh;
    }
  }
  if (!best_exact_ || best_exact_->hits < exact->hits) best_exact_ = exact;
  if (!best_host_ || best_host_->hits < host->hits) best_host_ = host;
  known_ = true;
  if (best_exact_->hits >= threshold_) {
    address_ = best_exact_->address;
  } else if (best_host_->hits >= threshold_) {
    address_ = {best_host_->address.address, 0};
  } else {
    known_ = false;
    address_ = {};
  }
  return exact->hits;
}

}  // namespace hg::dht
