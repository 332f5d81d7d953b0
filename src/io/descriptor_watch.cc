#include "io/descriptor_watch.h"

namespace hg::io {

struct DescriptorWatch::State {
  State(Loop& loop, FileDescriptor fd) : descriptor(loop.context(), fd.release()) {}

  struct Side {
    Callback callback;
    bool wanted = false;
    bool waiting = false;
  };
  Side& side(Direction direction) { return direction == Direction::kRead ? read : direction == Direction::kWrite ? write : failure; }

  boost::asio::posix::stream_descriptor descriptor;
  Side read;
  Side write;
  Side failure;
  bool alive = true;
};

DescriptorWatch::DescriptorWatch(Loop& loop, FileDescriptor fd, Callback on_readable, Callback on_writable)
    : fd_(fd.get()), state_(std::make_shared<State>(loop, std::move(fd))) {
  state_->read.callback = std::move(on_readable);
  state_->write.callback = std::move(on_writable);
}

DescriptorWatch::~DescriptorWatch() {
  state_->alive = false;
  boost::system::error_code ignored;
  state_->descriptor.close(ignored);
}

void DescriptorWatch::watch_read(bool on) {
  state_->read.wanted = on;
  if (on && !state_->read.waiting) wait(state_, Direction::kRead);
}

void DescriptorWatch::watch_write(bool on) {
  state_->write.wanted = on;
  if (on && !state_->write.waiting) wait(state_, Direction::kWrite);
}

void DescriptorWatch::set_callbacks(Callback on_readable, Callback on_writable) {
  state_->read.callback = std::move(on_readable);
  state_->write.callback = std::move(on_writable);
}

void DescriptorWatch::watch_failure(Callback on_failure) {
  state_->failure.callback = [state = state_.get(), on_failure = std::move(on_failure)] {
    state->failure.wanted = false;  // it stays in error: level-triggered would be for ever
    on_failure();
  };
  state_->failure.wanted = true;
  if (!state_->failure.waiting) wait(state_, Direction::kFailure);
}

void DescriptorWatch::wait(const std::shared_ptr<State>& state, Direction direction) {
  using Base = boost::asio::posix::descriptor_base;
  state->side(direction).waiting = true;
  const auto what = direction == Direction::kRead ? Base::wait_read : direction == Direction::kWrite ? Base::wait_write : Base::wait_error;
  state->descriptor.async_wait(what, [state, direction](const boost::system::error_code& error) {
    State::Side& side = state->side(direction);
    side.waiting = false;
    if (error || !state->alive || !side.wanted) return;
    const Callback callback = side.callback;  // it may be replaced while it runs
    callback();
    if (state->alive && side.wanted && !side.waiting) wait(state, direction);
  });
}

}  // namespace hg::io
