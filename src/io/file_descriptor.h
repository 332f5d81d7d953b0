// Owns a kernel file descriptor.
#pragma once

#include <unistd.h>

#include <string>
#include <utility>

#include "base/expected.h"

namespace hg::io {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// Error with the errno's symbolic name as code ("ECONNREFUSED") and "<what>: <text>" as message.
Error errno_error(int number, const std::string& what);

}  // namespace hg::io
