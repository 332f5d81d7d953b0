#include "io/loop.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <deque>

#include "io/helpers.h"
#include "io/resolver.h"
#include "io/udp_network.h"

namespace hg::io {

namespace {

TimePoint monotonic_now() { return TimePoint(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())); }

constexpr int kHandlersPerTurn = 64;    // ready sockets served before timers and posted tasks get their turn
constexpr Duration kLongestSleep = 1h;  // keeps time arithmetic away from the clock's limits
constexpr size_t kBlockingThreads = 2;  // key derivation and policy sources are rare

// Inherited so: nohup's way of asking to be left alone.
bool ignored(int signal) {
  struct sigaction now {};
  return sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

struct Loop::Impl {
  Impl(Loop& loop, Rng& random) : rng(random), network(loop) {}

  TimePoint read_now() {
    if (!now) now = monotonic_now();
    return *now;
  }

  // Runs what is due and what was posted; a task posted meanwhile waits for the next turn, which then does not sleep.
  void finish_turn() {
    now.reset();
    timers.run_due(read_now());
    for (size_t left = posted.size(); left > 0; --left) {
      auto task = std::move(posted.front());
      posted.pop_front();
      task();
    }
  }

  // Sleeps in the reactor until a socket is ready, the next timer is due or `limit` comes.
  void turn(TimePoint limit) {
    const auto next = timers.next_deadline();
    const TimePoint until = next ? std::min(*next, limit) : limit;
    const Duration span = posted.empty() ? std::min<Duration>(until - monotonic_now(), kLongestSleep) : Duration::zero();
    now.reset();
    context.restart();
    if (span > Duration::zero()) context.run_one_for(span);
    context.restart();
    for (int i = 0; i < kHandlersPerTurn && context.poll_one() > 0; ++i) {
    }
    finish_turn();
  }

  boost::asio::io_context context{1};
  Rng& rng;
  TimerQueue timers;
  std::deque<std::function<void()>> posted;
  std::optional<TimePoint> now;  // read when first asked for, forgotten by each turn and by refresh_now()
  bool stopped = false;
  std::unique_ptr<boost::asio::signal_set> signals;
  KernelUdpNetwork network;
  std::unique_ptr<Helpers> helpers;
  std::unique_ptr<Resolver> resolver;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_running{context.get_executor()};
};

Loop::Loop(Rng& rng) : impl_(std::make_unique<Impl>(*this, rng)) {}

Loop::~Loop() = default;

TimePoint Loop::now() const { return impl_->read_now(); }
void Loop::refresh_now() { impl_->now.reset(); }

int64_t Loop::wall_ms() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

TimerQueue& Loop::timers() { return impl_->timers; }
Rng& Loop::rng() { return impl_->rng; }
UdpNetwork& Loop::network() { return impl_->network; }
boost::asio::io_context& Loop::context() { return impl_->context; }
void Loop::post(std::function<void()> task) { impl_->posted.push_back(std::move(task)); }
void Loop::stop() { impl_->stopped = true; }

void Loop::run() {
  impl_->stopped = false;
  impl_->finish_turn();
  while (!impl_->stopped) impl_->turn(TimePoint::max());
}

bool Loop::run_until(const std::function<bool()>& done, Duration limit) {
  const TimePoint end = monotonic_now() + limit;
  impl_->finish_turn();
  while (!done()) {
    if (impl_->read_now() >= end) return false;
    impl_->turn(end);
  }
  return true;
}

void Loop::post_from_thread(std::function<void()> task) {
  boost::asio::post(impl_->context, [this, task = std::move(task)]() mutable { post(std::move(task)); });
}

void Loop::run_blocking(std::function<void()> work, std::function<void()> done) {
  if (!impl_->helpers) impl_->helpers = std::make_unique<Helpers>(*this, kBlockingThreads);
  impl_->helpers->run(std::move(work), std::move(done));
}

Resolver& Loop::resolver() {
  if (!impl_->resolver) impl_->resolver = std::make_unique<Resolver>(*this);
  return *impl_->resolver;
}

void Loop::on_signals(std::initializer_list<int> signals, std::function<void(int)> handler) {
  impl_->signals = std::make_unique<boost::asio::signal_set>(impl_->context);
  for (int number : signals)
    if (number != SIGHUP || !ignored(number)) impl_->signals->add(number);
  struct Waiter {
    static void wait(Impl& impl, std::function<void(int)> callback) {
      impl.signals->async_wait([&impl, callback](const boost::system::error_code& error, int number) {
        if (error) return;
        callback(number);
        wait(impl, callback);
      });
    }
  };
  Waiter::wait(*impl_, std::move(handler));
}

}  // namespace hg::io
