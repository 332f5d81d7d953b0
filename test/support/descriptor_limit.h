// For tests: while it lives, this process may open only so many more file descriptors.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <vector>

#include "io/file_descriptor.h"

namespace hg::test {

class DescriptorLimit {
 public:
  explicit DescriptorLimit(size_t spare) {
    EXPECT_EQ(0, getrlimit(RLIMIT_NOFILE, &before_));
    // The kernel gives the lowest free number: the one behind the spare ones is the first that is out of bounds.
    std::vector<io::FileDescriptor> lowest;
    for (size_t i = 0; i <= spare; ++i) lowest.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    rlimit lowered = before_;
    lowered.rlim_cur = static_cast<rlim_t>(lowest.back().get());
    EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &lowered));
  }
  ~DescriptorLimit() { setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit before_{};
};

}  // namespace hg::test
