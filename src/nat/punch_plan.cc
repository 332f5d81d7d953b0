#include "nat/punch_plan.h"

#include <algorithm>

namespace hg::nat {
namespace {

constexpr int kConsistentTries = 10;
constexpr int kUnverifiedEvery = 4;  // unverified hosts are tried on tries 4 and 8 only
constexpr Duration kConsistentPause = 1s;
constexpr Duration kRandomPause = 20ms;
constexpr int kVolley = 4;            // guesses at a time while hits are likely: one in 252 hits, so most punches end within two seconds
constexpr int kVolleyGuesses = 1000;  // afterwards one at a time, for a peer that was late
constexpr size_t kOpeningEvery =
    8;  // of the first cycle's probes every so many may arrive: enough where the other NAT looks at addresses only
constexpr Duration kBirthdayPause = 100ms;  // after the first volley
constexpr uint32_t kFirstRandomPort = 1000;
constexpr uint32_t kRandomPorts = 64536;
constexpr size_t kMaxAddresses = 32;  // bound on what a peer may make us probe

wire::Firewall coerce(wire::Firewall firewall) { return firewall == wire::kFirewallOpen ? wire::kFirewallConsistent : firewall; }

}  // namespace

std::optional<PunchPlan> PunchPlan::make(Situation s, TimePoint now) {
  if (s.addresses.empty()) return std::nullopt;
  if (s.addresses.size() > kMaxAddresses) s.addresses.resize(kMaxAddresses);
  const wire::Firewall local = coerce(s.local);
  const wire::Firewall remote = coerce(s.remote);
  if (local == wire::kFirewallConsistent && remote == wire::kFirewallConsistent) {
    const Duration wait = s.initiator ? Duration::zero() : kConsistentPause;  // the responder's fast-open probe has just gone out
    return PunchPlan(Kind::kConsistent, std::move(s), now + wait);
  }
  const bool verified = std::any_of(s.addresses.begin(), s.addresses.end(), [](const RemoteAddress& a) { return a.verified; });
  if (!verified) return std::nullopt;
  if (local == wire::kFirewallConsistent && remote == wire::kFirewallRandom) return PunchPlan(Kind::kRandomProbes, std::move(s), now);
  if (local == wire::kFirewallRandom && remote == wire::kFirewallConsistent) return PunchPlan(Kind::kBirthday, std::move(s), now);
  return std::nullopt;
}

PunchPlan::PunchPlan(Kind kind, Situation situation, TimePoint first)
    : kind_(kind), addresses_(std::move(situation.addresses)), next_(first) {
  const auto verified = std::find_if(addresses_.begin(), addresses_.end(), [](const RemoteAddress& a) { return a.verified; });
  if (verified != addresses_.end()) target_ = verified->endpoint;
}

void PunchPlan::set_addresses(std::vector<RemoteAddress> addresses) {
  if (kind_ != Kind::kConsistent || addresses.empty()) return;
  if (addresses.size() > kMaxAddresses) addresses.resize(kMaxAddresses);
  addresses_ = std::move(addresses);
}

void PunchPlan::poll(TimePoint now, Rng& rng, std::vector<Probe>& out) {
  if (!next_ || now < *next_) return;
  switch (kind_) {
    case Kind::kConsistent:
      return poll_consistent(now, out);
    case Kind::kRandomProbes:
      return poll_random(now, rng, out);
    case Kind::kBirthday:
      return poll_birthday(now, out);
  }
}

void PunchPlan::poll_consistent(TimePoint now, std::vector<Probe>& out) {
  if (tries_ == kConsistentTries) {
    next_.reset();
    return;
  }
  tries_++;
  for (const RemoteAddress& address : addresses_)
    if ((address.verified || tries_ % kUnverifiedEvery == 0) && address.endpoint.port != 0) out.push_back({0, address.endpoint, false});
  next_ = now + kConsistentPause;
}

void PunchPlan::poll_random(TimePoint now, Rng& rng, std::vector<Probe>& out) {
  if (tries_ == kRandomTries) {
    next_.reset();
    return;
  }
  const int guesses = tries_ < kVolleyGuesses ? kVolley : 1;
  for (int i = 0; i < guesses; ++i)
    out.push_back({0, {target_.address, static_cast<uint16_t>(kFirstRandomPort + rng.below(kRandomPorts))}, false});
  tries_ += guesses;
  next_ = now + kRandomPause;
}

void PunchPlan::poll_birthday(TimePoint now, std::vector<Probe>& out) {
  if (!opened_) {
    opened_ = true;
    for (size_t i = 1; i < kBirthdaySockets; ++i) out.push_back({i, target_, true});
    next_ = now + kBirthdayPause;
    return;
  }
  if (tries_ == kRandomTries) {
    next_.reset();
    return;
  }
  tries_++;
  out.push_back({turn_, target_, first_cycle_ && turn_ % kOpeningEvery != 0});
  if (++turn_ == kBirthdaySockets) {
    turn_ = 0;
    first_cycle_ = false;
  }
  next_ = now + kRandomPause;
}

}  // namespace hg::nat
