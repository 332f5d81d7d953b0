#include "tunnel/loop_check.h"

#include <algorithm>

namespace hg::tunnel {

namespace {
constexpr Duration kLookUpAnew = 60s;  // as a name server's answers for hosts that move are kept
constexpr Duration kFirstRetry = 4s;   // of a name without an answer; doubles up to kLookUpAnew
constexpr Duration kPatience = 3s;     // so long a gate waits for a name server that says nothing
constexpr Duration kGather = 50ms;     // answers come together, and each has all advertisements read anew
}  // namespace

LoopCheck::LoopCheck(Runtime& runtime, std::function<void()> again)
    : runtime_(runtime), gather_(runtime.timers(), std::move(again)), patience_(runtime.timers(), [this] { wait_no_longer(); }) {}

LoopCheck::Judgement LoopCheck::judge(Service service, const Endpoint& provider) {
  const Leads leads = rule_ ? rule_(service, provider) : Leads::kElsewhere;
  if (leads != Leads::kByAddress) return {leads == Leads::kBack ? Verdict::kBack : Verdict::kElsewhere, false};
  const Name* name = find(service.service_host);
  if (name == nullptr) return {Verdict::kElsewhere, true};
  if (!name->known) return {Verdict::kUnknown, true};
  const bool back = std::any_of(name->addresses.begin(), name->addresses.end(), [&](uint32_t address) {
    service.service_host = format_ipv4(address);
    return rule_(service, provider) == Leads::kBack;
  });
  return {back ? Verdict::kBack : Verdict::kElsewhere, true};
}

/// nullptr: there are too many.
LoopCheck::Name* LoopCheck::find(const std::string& host) {
  const TimePoint now = runtime_.now();
  if (names_.size() >= kMaxNames)
    std::erase_if(names_, [&](const auto& entry) { return !entry.second.asking && entry.second.wanted + kLookUpAnew <= now; });
  if (names_.size() >= kMaxNames && !names_.contains(host)) return nullptr;
  Name& name = names_[host];
  name.wanted = now;
  if (!name.asking && name.ask_at <= now) ask(host, name);
  return &name;
}

void LoopCheck::ask(const std::string& host, Name& name) {
  name.asking = true;
  name.asked = runtime_.now();
  if (!name.known && !patience_.armed()) patience_.arm(name.asked + kPatience);
  runtime_.network().resolve(host, [this, host, alive = alive_](Expected<std::vector<uint32_t>> found) {
    if (*alive) heard(host, std::move(found));
  });
}

/// A name that was known and has no answer now is where it was.
void LoopCheck::heard(const std::string& host, Expected<std::vector<uint32_t>> found) {
  Name& name = names_.at(host);
  name.asking = false;
  name.retry = found ? Duration{} : std::clamp<Duration>(2 * name.retry, kFirstRetry, kLookUpAnew);
  name.ask_at = runtime_.now() + (found ? kLookUpAnew : name.retry);
  std::vector<uint32_t> addresses = found ? std::move(*found) : name.addresses;
  std::sort(addresses.begin(), addresses.end());
  const bool news = !name.known || addresses != name.addresses;
  name.known = true;
  name.addresses = std::move(addresses);
  if (news) tell();
}

/// A gate does not stay closed for a name server that hangs.
void LoopCheck::wait_no_longer() {
  const TimePoint now = runtime_.now();
  for (auto& [host, name] : names_) {
    if (name.known) continue;
    if (name.asked + kPatience > now) {
      patience_.arm(std::min(name.asked + kPatience, patience_.armed() ? patience_.deadline() : TimePoint::max()));
      continue;
    }
    name.known = true;
    tell();
  }
}

void LoopCheck::tell() {
  if (!gather_.armed()) gather_.arm(runtime_.now() + kGather);
}

}  // namespace hg::tunnel
