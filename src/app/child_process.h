// Another process of this program, its log read line by line. It ends with us, however we end.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/descriptor_watch.h"

namespace hg::app {

class ChildProcess {
 public:
  using OnLine = std::function<void(const std::string& line)>;

  /// Runs this program with `arguments` and, besides ours, the variables `environment` ("NAME=value"). `on_line` gets each line of its
  /// standard error.
  ChildProcess(io::Loop& loop, const std::vector<std::string>& arguments, const std::vector<std::string>& environment, OnLine on_line);
  /// Kills it if it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  /// SIGTERM.
  void terminate();
  /// True once it has ended (and is reaped).
  bool ended();

 private:
  void read_lines();

  pid_t pid_ = -1;
  bool reaped_ = false;
  std::string partial_;
  OnLine on_line_;
  std::unique_ptr<io::DescriptorWatch> output_;
};

}  // namespace hg::app
