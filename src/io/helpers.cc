#include "io/helpers.h"

#include <atomic>
#include <boost/asio/post.hpp>
#include <mutex>

#include "io/loop.h"

namespace hg::io {

/// What threads that outlive us may touch.
struct Helpers::Shared {
  std::mutex mutex;
  Loop* loop;  // nullptr: gone
  std::atomic<size_t> busy = 0;
};

Helpers::Helpers(Loop& loop, size_t threads)
    : shared_(std::make_shared<Shared>()), threads_(std::make_unique<boost::asio::thread_pool>(threads)) {
  shared_->loop = &loop;
}

Helpers::~Helpers() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->loop = nullptr;
  }
  threads_->stop();
  if (shared_->busy > 0) threads_.release();  // joining it would wait
}

void Helpers::run(std::function<void()> work, std::function<void()> done) {
  boost::asio::post(*threads_, [shared = shared_, work = std::move(work), done = std::move(done)]() mutable {
    ++shared->busy;
    work();
    const std::lock_guard lock(shared->mutex);
    if (shared->loop != nullptr) shared->loop->post_from_thread(std::move(done));
    --shared->busy;
  });
}

}  // namespace hg::io
