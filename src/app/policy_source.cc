#include "app/policy_source.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/log.h"
#include "http/fetch.h"
#include "tunnel/ingress_policy.h"

namespace hg::app {

namespace {

constexpr std::string_view kLog = "ingress";
constexpr std::string_view kOption = "--ingressPolicy";
constexpr Duration kFileInterval = 1s;

PolicyPart::Kind kind_of(const std::string& value) {
  const size_t first = value.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && (value[first] == '{' || value[first] == '[')) return PolicyPart::Kind::kInline;
  return http::is_url(value) ? PolicyPart::Kind::kUrl : PolicyPart::Kind::kFile;
}

Expected<std::string> merge(const std::vector<PolicyPart>& parts) {
  std::vector<std::string> texts;
  for (const PolicyPart& part : parts) texts.push_back(part.text());
  auto merged = tunnel::merge_ingress_policies(texts);
  if (!merged) return merged.error();
  // Each fits, but together they may hold too many rules.
  if (const auto policy = tunnel::IngressPolicy::parse(*merged, kOption); !policy) return policy.error();
  return merged;
}

}  // namespace

PolicyPart::PolicyPart(std::string value) : value_(std::move(value)), kind_(kind_of(value_)) {}

PolicyPart::Stamp PolicyPart::stamp_of(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return {};
  return {status.st_ino, status.st_size, status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

Expected<PolicyPart::Look> PolicyPart::look() {
  const bool first = text_.empty();
  if (kind_ == Kind::kInline && !first) return Look::kSame;
  const Stamp stamp = kind_ == Kind::kFile ? stamp_of(value_) : Stamp{};
  // A file that is gone is looked for each time: its stamp is the empty one.
  if (kind_ == Kind::kFile && !first && stamp == stamp_ && stamp.size >= 0) return Look::kSame;
  auto text = read();
  if (!text) return Error{"USAGE", std::string(kOption) + ": " + text.error().message + "; give JSON, a file or an http(s) URL"};
  stamp_ = stamp;  // what could not be read is tried again: chmod and chown change no stamp
  if (!first && (text->empty() || *text == text_)) return Look::kSame;
  const std::string name = kind_ == Kind::kInline ? std::string(kOption) : std::string(kOption) + ": " + value_;
  if (const auto policy = tunnel::IngressPolicy::parse(*text, name); !policy) return policy.error();
  text_ = std::move(*text);
  return Look::kChanged;
}

/// Empty: the server says that nothing changed.
Expected<std::string> PolicyPart::read() {
  if (kind_ == Kind::kInline) return value_;
  if (kind_ == Kind::kFile) {
    auto text = http::read_text_file(value_);
    if (text && text->empty()) return std::string(" ");  // no JSON: refused as such
    return text;
  }
  auto fetched = http::fetch_url_since(value_, etag_);
  if (!fetched) return fetched.error();
  if (fetched->unchanged) return std::string();
  etag_ = fetched->etag;
  return fetched->text.empty() ? std::string(" ") : std::move(fetched->text);
}

Expected<PolicySources> load_policies(const std::vector<std::string>& values) {
  PolicySources sources;
  for (const std::string& value : values) {
    PolicyPart part(value);
    if (const auto looked = part.look(); !looked) return looked.error();
    sources.parts.push_back(std::move(part));
  }
  if (sources.parts.empty()) return sources;
  auto merged = merge(sources.parts);
  if (!merged) return merged.error();
  sources.merged = std::move(*merged);
  return sources;
}

/// One look at everything, on a helper thread; works on copies.
struct PolicyWatch::Round {
  std::vector<PolicyPart> parts;
  bool urls = false;
  bool changed = false;
  std::string fault;

  void run() {
    for (PolicyPart& part : parts) {
      if (part.kind() == PolicyPart::Kind::kUrl && !urls) continue;
      const auto looked = part.look();
      if (!looked) {
        fault = looked.error().message;
      } else if (*looked == PolicyPart::Look::kChanged) {
        changed = true;
      }
    }
  }
};

PolicyWatch::PolicyWatch(io::Loop& loop, PolicySources sources, Duration url_interval, std::function<void(const std::string&)> on_change)
    : loop_(loop),
      sources_(std::move(sources)),
      url_interval_(url_interval),
      on_change_(std::move(on_change)),
      urls_at_(loop.now() + url_interval),
      timer_(loop.timers(), [this] { look(); }) {
  const auto can_change = [](const PolicyPart& part) { return part.kind() != PolicyPart::Kind::kInline; };
  if (std::any_of(sources_.parts.begin(), sources_.parts.end(), can_change)) timer_.arm(loop_.now() + kFileInterval);
}

PolicyWatch::~PolicyWatch() { *alive_ = false; }

void PolicyWatch::look() {
  auto round = std::make_shared<Round>(Round{sources_.parts, loop_.now() >= urls_at_, false, {}});
  if (round->urls) urls_at_ = loop_.now() + url_interval_;
  loop_.run_blocking([round] { round->run(); },
                     [this, round, alive = alive_] {
                       if (*alive) take(*round);
                     });
}

void PolicyWatch::take(Round& round) {
  timer_.arm(loop_.now() + kFileInterval);
  sources_.parts = std::move(round.parts);  // what was broken kept its last good text
  if (round.changed) {
    auto merged = merge(sources_.parts);
    if (!merged) {
      round.fault = merged.error().message;
    } else if (*merged != sources_.merged) {
      sources_.merged = std::move(*merged);
      HG_LOG(kInfo, kLog, "ingress policy changed");
      on_change_(sources_.merged);
    }
  }
  if (!round.fault.empty() && round.fault != said_) HG_LOG(kWarn, kLog, "{}; the last good ingress policy stays", round.fault);
  // A broken file is not read again until it changes: its fault stays told.
  if (!round.fault.empty() || round.changed) said_ = round.fault;
}

}  // namespace hg::app
