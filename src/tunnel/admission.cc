#include "tunnel/admission.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "tunnel/channel.h"

namespace hg::tunnel {

namespace {
constexpr std::string_view kLog = "ingress";
constexpr Duration kLongestWait = 1h;  // the wall clock may be set meanwhile
}  // namespace

Admission::Admission(Admissions& owner, Channel& channel, GateKey gate, std::string client, RouteTable::Pick route)
    : owner_(owner), channel_(channel), gate_(gate), client_(std::move(client)), route_(std::move(route)) {
  owner_.admitted_.insert(this);
}

Admission::~Admission() { owner_.admitted_.erase(this); }

Admissions::Admissions(Runtime& runtime, Counters& counters, const RouteTable& routes)
    : runtime_(runtime), counters_(counters), routes_(routes), shaper_(runtime, counters), timer_(runtime.timers(), [this] { run(); }) {}

Admissions::~Admissions() = default;

bool Admissions::overridden(const std::string& client) const {
  const auto found = overrides_.find(client);
  return found != overrides_.end() && found->second > runtime_.wall_ms();
}

Verdict Admissions::judge(const IngressPolicy* policy, GateKey gate, const std::string& client) {
  if (!overrides_.empty() && overridden(client)) return {true, {std::string(kOverrideLabel)}, nullptr};
  if (policy == nullptr) return {};
  const int64_t now_ms = runtime_.wall_ms();
  const IngressRule* rule = policy->match(client, gate.port, gate.protocol, now_ms);
  if (const auto next = policy->next_expiry(now_ms)) expire_at(*next);
  if (rule == nullptr) return {};
  Verdict verdict{rule->allow, rule->labels, nullptr};
  if (rule->allow && rule->bandwidth) verdict.bucket = shaper_.bucket(client, *rule);
  return verdict;
}

Verdict Admissions::judge_again(Admission& admission) {
  RouteTable::Pick& route = admission.route_;
  if (auto policy = routes_.policy_of(admission.gate_, route.service_host, route.provider)) route.policy = std::move(*policy);
  return judge(route.policy.get(), admission.gate_, admission.client_);
}

bool Admissions::admit(Channel& channel, GateKey gate, const std::string& client, const RouteTable::Pick& route) {
  auto admission = std::make_unique<Admission>(*this, channel, gate, client, route);
  Verdict verdict = judge_again(*admission);
  if (!verdict.allow) return false;
  admission->bucket_ = verdict.bucket;
  channel.set_admission(std::move(admission));
  if (verdict.bucket != nullptr) channel.limit(std::move(verdict.bucket));
  return true;
}

void Admissions::recheck() { timer_.arm(runtime_.now()); }

void Admissions::expire_at(int64_t wall_ms) {
  const Duration wait = std::clamp<Duration>(std::chrono::milliseconds(wall_ms - runtime_.wall_ms()), Duration{}, kLongestWait);
  const TimePoint at = runtime_.now() + wait;
  if (!timer_.armed() || at < timer_.deadline()) timer_.arm(at);
}

void Admissions::run() {
  const int64_t now_ms = runtime_.wall_ms();
  std::erase_if(overrides_, [&](const auto& entry) {
    if (entry.second <= now_ms) HG_LOG(kInfo, kLog, "unlimited override of {} ended", entry.first);
    return entry.second <= now_ms;
  });
  for (const auto& [client, until] : overrides_) expire_at(until);
  const std::vector<Admission*> all(admitted_.begin(), admitted_.end());
  size_t closed = 0;
  for (Admission* admission : all) {
    if (!admitted_.contains(admission)) continue;  // closed by what came before
    Verdict verdict = judge_again(*admission);
    if (!verdict.allow) {
      ++closed;
      ++counters_.closed_ingress;
      admission->channel_.close_for(CloseReason::kDenied);
    } else if (verdict.bucket != admission->bucket_) {
      admission->bucket_ = verdict.bucket;
      admission->channel_.limit(std::move(verdict.bucket));
    }
  }
  if (closed > 0) HG_LOG(kInfo, kLog, "{} open channels closed: the ingress policy denies them now", closed);
}

bool Admissions::set_override(const std::string& client, int64_t until_ms) {
  if (!overrides_.contains(client) && overrides_.size() >= kMaxOverrides) return false;
  overrides_[client] = until_ms;
  ++counters_.overrides;
  recheck();
  return true;
}

std::vector<Override> Admissions::overrides() const {
  std::vector<Override> in_force;
  for (const auto& [client, until] : overrides_) {
    if (until > runtime_.wall_ms()) in_force.push_back({client, until});
  }
  std::sort(in_force.begin(), in_force.end(), [](const Override& a, const Override& b) { return a.client < b.client; });
  return in_force;
}

std::vector<std::string> Admissions::describe_channels(size_t most) const {
  std::vector<std::string> lines;
  for (const Admission* admission : admitted_) {
    if (lines.size() >= most) break;
    const GateKey gate = admission->gate_;
    lines.push_back(fmt::format("channel {} · {} {} · client {} · provider {} · {}", admission->channel_.id(), protocol_name(gate.protocol),
                                gate.port, admission->client_, to_hex(ByteView(admission->route_.provider).first(4)),
                                admission->bucket_ == nullptr ? "no limit" : admission->bucket_->describe()));
  }
  return lines;
}

}  // namespace hg::tunnel
