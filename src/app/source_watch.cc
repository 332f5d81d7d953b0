#include "app/source_watch.h"

#include <optional>
#include <utility>

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

/// One look at all of a group, on a helper thread.
struct SourceWatch::Round {
  std::vector<Source> sources;
  std::vector<std::string> faults;  // of each, before
  bool changed = false;

  void run() {
    for (Source& source : sources) {
      const auto looked = source.look();
      changed = changed || (looked && *looked == Source::Look::kChanged);
    }
  }
};

SourceWatch::Group::Group(SourceWatch& watch, Duration every)
    : interval(every), timer(watch.loop_.timers(), [this, &watch] { watch.look(*this); }) {}

SourceWatch::SourceWatch(io::Loop& loop, std::vector<Source> sources, Wanted wanted, Duration url_interval,
                         std::function<void(const Wanted&)> on_change)
    : loop_(loop),
      files_(*this, kFileInterval),
      urls_(*this, url_interval),
      said_(said_by(sources)),
      wanted_(std::move(wanted)),
      on_change_(std::move(on_change)) {
  for (size_t i = 0; i < sources.size(); ++i) {
    if (!sources[i].can_change()) continue;
    Group& group = sources[i].is_url() ? urls_ : files_;
    group.places.push_back(i);
    group.sources.push_back(std::move(sources[i]));
  }
  for (Group* group : {&files_, &urls_})
    if (!group->sources.empty()) group->timer.arm(loop_.now() + group->interval);
}

SourceWatch::~SourceWatch() { *alive_ = false; }

template <class Work, class Done>
void SourceWatch::run(Work work, Done done) {
  loop_.run_blocking(std::move(work), [done = std::move(done), alive = alive_] {
    if (*alive) done();
  });
}

void SourceWatch::look(Group& group) {
  auto round = std::make_shared<Round>();
  for (const Source& source : group.sources) round->faults.push_back(source.fault());
  round->sources = std::move(group.sources);
  run([round] { round->run(); }, [this, &group, round] { take(group, *round); });
}

void SourceWatch::take(Group& group, Round& round) {
  group.timer.arm(loop_.now() + group.interval);
  group.sources = std::move(round.sources);
  for (size_t i = 0; i < group.sources.size(); ++i) {
    tell(group.sources[i], round.faults[i]);
    said_[group.places[i]] = group.sources[i].said();
  }
  if (round.changed) put_together();
}

// Policies may be long to read: not on this thread.
void SourceWatch::put_together() {
  again_ = together_;
  if (std::exchange(together_, true)) return;
  auto wanted = std::make_shared<std::optional<Expected<Wanted>>>();
  run([wanted, texts = said_] { *wanted = combine(texts); }, [this, wanted] { settle(std::move(**wanted)); });
}

void SourceWatch::settle(Expected<Wanted> together) {
  together_ = false;
  if (again_) return put_together();
  const std::string fault = together ? std::string() : together.error().message;
  if (!fault.empty() && fault != fault_said_) HG_LOG(kWarn, kLog, "{}; what was good before stays", fault);
  fault_said_ = fault;
  if (!together || *together == wanted_) return;
  wanted_ = std::move(*together);
  on_change_(wanted_);
}

}  // namespace hg::app
