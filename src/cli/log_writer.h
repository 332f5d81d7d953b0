// Writes log lines to a descriptor on a thread of its own, so that who reads them late (a stopped terminal, a pager, a journal that hangs)
// holds up no tunnel: what does not fit into the queue meanwhile is counted and left out.
//
//   put() ─▶ queue (kMostWaiting bytes) ─▶ thread: write(2)        full, or not to be written (a full disk) ─▶ take_lost()
//
// Never destroyed: the thread may be in a write that never ends. put(), take_lost() and finish() from one thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>

#include "base/time.h"

namespace hg::cli {

class LogWriter {
 public:
  static constexpr size_t kMostWaiting = 1 << 20;  // bytes; an hour of a busy member's lines

  explicit LogWriter(int descriptor) : descriptor_(descriptor) {}
  LogWriter(const LogWriter&) = delete;

  /// Takes a line with its end, or counts it as lost.
  void put(std::string line);
  /// Lines that were lost and have not been told of yet; 0 while the queue is too full to take a word about it.
  size_t take_lost();
  /// Waits until all is written, at most so long.
  void finish(Duration limit);

 private:
  void start();
  void run();
  bool write_all(const std::string& line) const;

  const int descriptor_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> lines_;  // the first one is being written
  size_t waiting_ = 0;             // bytes of these
  size_t lost_ = 0;
  bool running_ = false;
};

}  // namespace hg::cli
