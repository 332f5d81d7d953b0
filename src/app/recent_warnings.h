// The last warnings and errors of the log, for the status page. Bounded: kMost lines of kMostBytes each. One thread.
#pragma once

#include <deque>
#include <string>

#include "base/log.h"
#include "base/runtime.h"

namespace hg::app {

class RecentWarnings {
 public:
  static constexpr size_t kMost = 16;
  static constexpr size_t kMostBytes = 500;  // of a message

  struct Line {
    TimePoint at;
    bool error = false;
    std::string component;
    std::string message;  // printable
  };

  explicit RecentWarnings(Runtime& runtime);
  ~RecentWarnings();
  RecentWarnings(const RecentWarnings&) = delete;

  /// Oldest first.
  const std::deque<Line>& lines() const { return lines_; }
  /// Since this was made, those that are forgotten included.
  size_t count() const { return count_; }

 private:
  Runtime& runtime_;
  std::deque<Line> lines_;
  size_t count_ = 0;
};

}  // namespace hg::app
