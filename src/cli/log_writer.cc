#include "cli/log_writer.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

namespace hg::cli {

void LogWriter::put(std::string line) {
  std::unique_lock lock(mutex_);
  start();
  if (!running_) {  // no thread to be had: better late than never
    if (!write_all(line)) ++lost_;
    return;
  }
  if (waiting_ + line.size() > kMostWaiting) {
    ++lost_;
    return;
  }
  waiting_ += line.size();
  lines_.push_back(std::move(line));
  changed_.notify_all();
}

size_t LogWriter::take_lost() {
  std::lock_guard lock(mutex_);
  return waiting_ > kMostWaiting / 2 ? 0 : std::exchange(lost_, 0);
}

void LogWriter::finish(Duration limit) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [this] { return lines_.empty(); });
}

/// Only with the first line: most commands print no log.
void LogWriter::start() {
  if (running_) return;
  try {
    std::thread([this] { run(); }).detach();
    running_ = true;
  } catch (const std::system_error&) {  // no more threads for this user; the next line tries again
  }
}

void LogWriter::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !lines_.empty(); });
    const std::string& line = lines_.front();  // a deque's elements stay where they are
    lock.unlock();
    const bool written = write_all(line);
    lock.lock();
    if (!written) ++lost_;
    waiting_ -= line.size();
    lines_.pop_front();
    changed_.notify_all();
  }
}

bool LogWriter::write_all(const std::string& line) const {
  size_t done = 0;
  while (done < line.size()) {
    const ssize_t wrote = ::write(descriptor_, line.data() + done, line.size() - done);
    if (wrote >= 0) {
      done += static_cast<size_t>(wrote);
    } else if (errno == EAGAIN) {  // whoever shares the descriptor made it non-blocking
      pollfd ready{descriptor_, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

}  // namespace hg::cli
