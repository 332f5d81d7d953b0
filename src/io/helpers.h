// Threads for calls that block, which nobody waits for when all ends.
//
//   run(work, done) ─▶ work on a thread of ours ─▶ done on the loop
//
// A name server that is silent keeps getaddrinfo for a minute, and must not keep the program from stopping: a call that is under way when
// Helpers goes is left to itself, what still waits is dropped, and neither has its `done` called. A thread is started when a call finds
// none that is idle; where no thread can be had, and none is there, the loop waits for the call. Owned by Loop.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace hg::io {

class Loop;

class Helpers {
 public:
  /// At most `threads` calls at a time.
  Helpers(Loop& loop, size_t threads);
  ~Helpers();

  /// `work` must own all that it touches.
  void run(std::function<void()> work, std::function<void()> done);

 private:
  struct Shared;
  static void serve(Shared& shared);
  void run_here();

  const size_t most_threads_;
  size_t threads_ = 0;
  std::shared_ptr<Shared> shared_;  // with the threads, which may outlive us
};

}  // namespace hg::io
