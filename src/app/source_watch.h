// Follows the sources of a member's options while it runs: files are looked at every second, URLs asked again (If-None-Match) every
// interval, on a helper thread.
//
//   all good, and other than before ─▶ on_change(wanted)      ─▶ broken: said once, the last good text stays
//                                                             ─▶ too much together: said once, what was wanted before stays
//
// Owned by Member. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/wanted.h"
#include "base/timer.h"
#include "io/loop.h"

namespace hg::app {

class SourceWatch {
 public:
  /// `sources` have been looked at, and `wanted` is what they say.
  SourceWatch(io::Loop& loop, std::vector<Source> sources, Wanted wanted, Duration url_interval,
              std::function<void(const Wanted&)> on_change);
  ~SourceWatch();

 private:
  struct Round;
  void look();
  void take(Round& round);

  io::Loop& loop_;
  std::vector<Source> sources_;  // in a round: with it
  Wanted wanted_;
  const Duration url_interval_;
  std::function<void(const Wanted&)> on_change_;
  TimePoint urls_at_;
  std::string said_;  // why they do not go together
  Timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hg::app
