#include "io/helpers.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>

#include "io/loop.h"

namespace hg::io {

struct Helpers::Shared {
  struct Call {
    std::function<void()> work;
    std::function<void()> done;
  };
  std::mutex mutex;
  std::condition_variable changed;
  Loop* loop;  // nullptr: gone
  std::deque<Call> waiting;
  size_t idle = 0;  // threads
};

Helpers::Helpers(Loop& loop, size_t threads) : most_threads_(threads), shared_(std::make_shared<Shared>()) { shared_->loop = &loop; }

Helpers::~Helpers() {
  std::deque<Shared::Call> dropped;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->loop = nullptr;
    dropped.swap(shared_->waiting);
  }
  shared_->changed.notify_all();
}

void Helpers::run(std::function<void()> work, std::function<void()> done) {
  bool more;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->waiting.push_back({std::move(work), std::move(done)});
    more = shared_->idle < shared_->waiting.size() && threads_ < most_threads_;
  }
  if (!more) return shared_->changed.notify_one();
  try {
    std::thread([shared = shared_] { serve(*shared); }).detach();
    ++threads_;
  } catch (const std::system_error&) {  // this user, or the container, may have no more of them
    if (threads_ == 0) run_here();      // else one of ours takes it in time
  }
}

void Helpers::run_here() {
  Shared::Call call = std::move(shared_->waiting.back());
  shared_->waiting.pop_back();
  call.work();
  shared_->loop->post_from_thread(std::move(call.done));
}

void Helpers::serve(Shared& shared) {
  std::unique_lock lock(shared.mutex);
  for (;;) {
    ++shared.idle;
    shared.changed.wait(lock, [&] { return shared.loop == nullptr || !shared.waiting.empty(); });
    --shared.idle;
    if (shared.loop == nullptr) return;
    Shared::Call call = std::move(shared.waiting.front());
    shared.waiting.pop_front();
    lock.unlock();
    call.work();
    call.work = {};
    lock.lock();
    if (shared.loop != nullptr) shared.loop->post_from_thread(std::move(call.done));
  }
}

}  // namespace hg::io
