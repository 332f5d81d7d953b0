// What systemd hears of a unit with Type=notify (sd_notify(3)): READY, STOPPING, STATUS and the watchdog's signs of life, as datagrams to
// the socket that NOTIFY_SOCKET names. Without the variable all this does nothing; nothing waits for the socket, and no error matters:
// what it did not take is said again in the next turn.
//
// Owned by the command that runs. One thread.
#pragma once

#include <functional>
#include <string>

#include "base/timer.h"
#include "io/file_descriptor.h"
#include "io/loop.h"

namespace hg::app {

struct ManagerOptions {
  std::string socket;   // a path, or '@' and an abstract name; empty: no manager
  Duration watchdog{};  // that long without a sign of life, and we are ended; zero: for ever

  /// From the environment, and out of it: children must not speak for us. Before the first thread starts.
  static ManagerOptions take();
};

class ServiceManager {
 public:
  ServiceManager(io::Loop& loop, const ManagerOptions& options);

  /// Up; `status` is asked every two seconds for a line to show.
  void ready(std::function<std::string()> status);
  void stopping();

 private:
  void turn();
  bool send(const std::string& text) const;

  io::Loop& loop_;
  const std::string socket_;
  const bool watched_;
  const Duration interval_;
  io::FileDescriptor fd_;
  std::string state_;
  std::function<std::string()> status_;
  std::string said_;
  Timer timer_;
};

}  // namespace hg::app
