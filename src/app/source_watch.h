// Follows the sources of a member's options while it runs: files are looked at every second, URLs asked again (If-None-Match) every
// interval, on helper threads, each kind for itself: a server that does not answer delays no file.
//
//   files ─┐                                              ┌─▶ other than before: on_change(wanted)
//   URLs  ─┴─▶ changed, and good ─▶ all texts together ───┴─▶ too much together: said once, what was wanted before stays
//          └─▶ broken: said once, the last good text stays
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
  struct Group {
    Group(SourceWatch& watch, Duration interval);
    std::vector<size_t> places;   // of its sources, in said_
    std::vector<Source> sources;  // while they are looked at: with the round
    Duration interval;
    Timer timer;
  };

  void look(Group& group);
  void take(Group& group, Round& round);
  void put_together();
  void settle(Expected<Wanted> together);
  template <class Work, class Done>
  void run(Work work, Done done);

  io::Loop& loop_;
  Group files_;
  Group urls_;
  std::vector<Said> said_;  // by all of them, as they were given
  Wanted wanted_;
  std::function<void(const Wanted&)> on_change_;
  bool together_ = false;  // said_ is being put together
  bool again_ = false;     // it has changed meanwhile
  std::string fault_said_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hg::app
