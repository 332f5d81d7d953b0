// The event loop: one thread owns a node's state; everything below runs on it.
//
//   one turn: timers due ─▶ ready sockets ─▶ posted tasks ─▶ (sleep until the next deadline)
//
// now() is read once per turn, and anew behind every read of a UDP socket: what arrived must not seem older than it is, or round-trip
// times come out too short where a turn took long. post() is for the loop's own thread, post_from_thread() for others.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/runtime.h"

namespace boost::asio {
class io_context;
}

namespace hg::io {

class Resolver;

class Loop final : public Runtime {
 public:
  explicit Loop(Rng& rng);
  ~Loop() override;

  TimePoint now() const override;
  /// now() is read from the clock when it is next asked for.
  void refresh_now();
  int64_t wall_ms() const override;
  TimerQueue& timers() override;
  Rng& rng() override;
  UdpNetwork& network() override;
  void post(std::function<void()> task) override;

  /// Runs until stop().
  void run();
  void stop();
  /// Runs turns until `done` holds; false when `limit` passes first. For tests and start-up.
  bool run_until(const std::function<bool()>& done, Duration limit);

  void post_from_thread(std::function<void()> task);
  /// Runs `work` on a helper thread, then `done` on the loop (for blocking calls: Argon2id). See Helpers.
  void run_blocking(std::function<void()> work, std::function<void()> done);
  Resolver& resolver();
  /// `handler(signal)` on the loop for each of `signals`; not for a SIGHUP that was inherited as ignored.
  void on_signals(std::initializer_list<int> signals, std::function<void(int)> handler);

  boost::asio::io_context& context();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hg::io
