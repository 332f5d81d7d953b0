#include "tunnel/loop_check.h"

#include <algorithm>

namespace hg::tunnel {

namespace {
constexpr Duration kLookUpAnew = 60s;  // as a name server's answers for hosts that move are kept
}  // namespace

LoopCheck::LoopCheck(Runtime& runtime, std::function<void()> again) : runtime_(runtime), again_(std::move(again)) {}

LoopCheck::Judgement LoopCheck::judge(Service service, const Endpoint& provider) {
  const Leads leads = rule_ ? rule_(service, provider) : Leads::kElsewhere;
  if (leads != Leads::kByAddress) return {leads == Leads::kBack ? Verdict::kBack : Verdict::kElsewhere, false};
  const Name* name = find(service.service_host);
  if (name == nullptr || !name->known) return {Verdict::kUnknown, true};
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
  runtime_.network().resolve(host, [this, host, alive = alive_](Expected<std::vector<uint32_t>> found) {
    if (*alive) heard(host, std::move(found));
  });
}

/// A name that was known and has no answer now is where it was.
void LoopCheck::heard(const std::string& host, Expected<std::vector<uint32_t>> found) {
  Name& name = names_.at(host);
  name.asking = false;
  name.ask_at = runtime_.now() + (found ? kLookUpAnew : Duration{});
  std::vector<uint32_t> addresses = found ? std::move(*found) : name.addresses;
  std::sort(addresses.begin(), addresses.end());
  const bool news = !name.known || addresses != name.addresses;
  name.known = true;
  name.addresses = std::move(addresses);
  if (!news) return;
  runtime_.post([this, alive = alive_] {
    if (*alive) again_();
  });
}

}  // namespace hg::tunnel
