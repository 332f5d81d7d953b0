// Threads for calls that block, which nobody waits for when all ends.
//
//   run(work, done) ─▶ work on a thread of ours ─▶ done on the loop
//
// A name server that is silent keeps getaddrinfo for a minute, and must not keep the program from stopping: a call that is under way when
// Helpers goes is left to itself, what still waits is dropped, and neither has its `done` called. Owned by Loop.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>

namespace hg::io {

class Loop;

class Helpers {
 public:
  Helpers(Loop& loop, size_t threads);
  ~Helpers();

  /// `work` must own all that it touches.
  void run(std::function<void()> work, std::function<void()> done);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::unique_ptr<boost::asio::thread_pool> threads_;
};

}  // namespace hg::io
