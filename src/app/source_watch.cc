#include "app/source_watch.h"

#include <algorithm>
#include <optional>

#include "base/log.h"

namespace hg::app {

namespace {

constexpr std::string_view kLog = "sources";
constexpr Duration kFileInterval = 1s;

/// A fault is told when it comes, and that it went.
void tell(const Source& source, const std::string& fault_before) {
  if (source.fault() == fault_before) return;
  if (source.fault().empty())
    HG_LOG(kInfo, kLog, "{}: good again", source.name());
  else
    HG_LOG(kWarn, kLog, "{}; {}", source.fault(), source.kind().remains);
}

}  // namespace

/// One look at everything, on a helper thread.
struct SourceWatch::Round {
  std::vector<Source> sources;
  std::vector<std::string> faults;  // of each, before
  bool urls = false;
  std::optional<Expected<Wanted>> wanted;  // if anything changed

  void run() {
    bool changed = false;
    for (Source& source : sources) {
      if (!source.can_change() || (source.is_url() && !urls)) continue;
      const auto looked = source.look();
      changed = changed || (looked && *looked == Source::Look::kChanged);
    }
    if (changed) wanted = combine(sources);
  }
};

SourceWatch::SourceWatch(io::Loop& loop, std::vector<Source> sources, Wanted wanted, Duration url_interval,
                         std::function<void(const Wanted&)> on_change)
    : loop_(loop),
      sources_(std::move(sources)),
      wanted_(std::move(wanted)),
      url_interval_(url_interval),
      on_change_(std::move(on_change)),
      urls_at_(loop.now() + url_interval),
      timer_(loop.timers(), [this] { look(); }) {
  const auto can_change = [](const Source& source) { return source.can_change(); };
  if (std::any_of(sources_.begin(), sources_.end(), can_change)) timer_.arm(loop_.now() + kFileInterval);
}

SourceWatch::~SourceWatch() { *alive_ = false; }

void SourceWatch::look() {
  auto round = std::make_shared<Round>();
  for (const Source& source : sources_) round->faults.push_back(source.fault());
  round->sources = std::move(sources_);
  round->urls = loop_.now() >= urls_at_;
  if (round->urls) urls_at_ = loop_.now() + url_interval_;
  loop_.run_blocking([round] { round->run(); },
                     [this, round, alive = alive_] {
                       if (*alive) take(*round);
                     });
}

void SourceWatch::take(Round& round) {
  timer_.arm(loop_.now() + kFileInterval);
  sources_ = std::move(round.sources);
  for (size_t i = 0; i < sources_.size(); ++i) tell(sources_[i], round.faults[i]);
  if (!round.wanted) return;
  const std::string fault = *round.wanted ? std::string() : round.wanted->error().message;
  if (!fault.empty() && fault != said_) HG_LOG(kWarn, kLog, "{}; what was good before stays", fault);
  said_ = fault;
  if (!fault.empty() || **round.wanted == wanted_) return;
  wanted_ = std::move(**round.wanted);
  on_change_(wanted_);
}

}  // namespace hg::app
