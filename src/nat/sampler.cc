#include "nat/sampler.h"

#include <algorithm>

namespace hg::nat {
namespace {

constexpr size_t kMaxVoters = 64;  // bound; an analysis asks fewer than ten nodes

/// Counts a hit and keeps the records sorted by hits, the earlier one first among equals.
void count(std::vector<Sampler::Record>& records, const Endpoint& address) {
  auto at = std::find_if(records.begin(), records.end(), [&](const Sampler::Record& r) { return r.address == address; });
  if (at == records.end()) {
    records.push_back({address, 1});
    return;
  }
  at->hits++;
  while (at != records.begin() && (at - 1)->hits < at->hits) {
    std::iter_swap(at - 1, at);
    --at;
  }
}

}  // namespace

bool Sampler::has_voted(const Endpoint& by) const { return std::find(voters_.begin(), voters_.end(), by) != voters_.end(); }

void Sampler::add(const Endpoint& seen_as, const Endpoint& by) {
  if (has_voted(by) || voters_.size() >= kMaxVoters) return;
  voters_.push_back(by);
  count(hosts_, {seen_as.address, 0});
  count(exact_, seen_as);
  sampled_++;
  if ((sampled_ < 3 && firewalled_) || frozen_) return;
  update_firewall();
  update_addresses();
}

bool Sampler::settled() const { return firewall_ == wire::kFirewallConsistent || firewall_ == wire::kFirewallOpen || sampled_ >= kEnough; }

void Sampler::update_firewall() {
  if (!firewalled_) {
    firewall_ = wire::kFirewallOpen;
    return;
  }
  const int top = exact_.front().hits;
  if (top >= 3) {
    firewall_ = wire::kFirewallConsistent;
  } else if (top == 1) {
    firewall_ = wire::kFirewallRandom;
  } else if (hosts_.size() == 1 && sampled_ > 3) {
    firewall_ = wire::kFirewallRandom;  // one host, two hits, two strays
  } else if (hosts_.size() > 1 && exact_[1].hits > 1) {
    firewall_ = wire::kFirewallConsistent;  // two hosts seen twice each: two uplinks
  } else if (sampled_ > kEnough) {
    firewall_ = wire::kFirewallRandom;
  }
}

void Sampler::update_addresses() {
  addresses_.reset();
  if (firewall_ == wire::kFirewallRandom) {
    addresses_ = {hosts_.front().address};
  } else if (firewall_ == wire::kFirewallConsistent) {
    addresses_.emplace();
    for (const Record& record : exact_)
      if (record.hits >= 2 || addresses_->size() < 2) addresses_->push_back(record.address);
  }
}

}  // namespace hg::nat
