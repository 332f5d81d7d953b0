// Readiness of one descriptor, level-triggered, at most one call a turn in each direction.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>

#include "io/file_descriptor.h"
#include "io/loop.h"

namespace hg::io {

class DescriptorWatch {
 public:
  using Callback = std::function<void()>;

  DescriptorWatch(Loop& loop, FileDescriptor fd, Callback on_readable, Callback on_writable);
  ~DescriptorWatch();
  DescriptorWatch(const DescriptorWatch&) = delete;
  DescriptorWatch& operator=(const DescriptorWatch&) = delete;

  int fd() const { return fd_; }
  void watch_read(bool on);
  void watch_write(bool on);
  /// From the next readiness on; allowed inside a callback.
  void set_callbacks(Callback on_readable, Callback on_writable);
  /// One call when the descriptor is in error or hung up (urgent data, too), also if it is so already.
  void watch_failure(Callback on_failure);

 private:
  struct State;
  enum class Direction { kRead, kWrite, kFailure };
  static void wait(const std::shared_ptr<State>& state, Direction direction);

  int fd_;
  std::shared_ptr<State> state_;
};

}  // namespace hg::io
