#include "app/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace hg::app {

namespace {

constexpr Duration kInterval = 2s;
constexpr uint64_t kLeastWatchdog = 20'000;           // microseconds: shorter ones would keep us busy
constexpr uint64_t kLongestWatchdog = 3'600'000'000;  // from here on the length makes no difference

std::string take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value == nullptr ? "" : value;
  ::unsetenv(name);
  return text;
}

}  // namespace

ManagerOptions ManagerOptions::take() {
  ManagerOptions options;
  options.socket = take_variable("NOTIFY_SOCKET");
  const std::string watchdog = take_variable("WATCHDOG_USEC"), pid = take_variable("WATCHDOG_PID");
  uint64_t microseconds = 0;
  std::from_chars(watchdog.data(), watchdog.data() + watchdog.size(), microseconds);
  if (pid.empty() || pid == std::to_string(::getpid()))
    options.watchdog = std::chrono::microseconds(microseconds == 0 ? 0 : std::clamp(microseconds, kLeastWatchdog, kLongestWatchdog));
  return options;
}

ServiceManager::ServiceManager(io::Loop& loop, const ManagerOptions& options)
    : loop_(loop),
      socket_(options.socket),
      watched_(options.watchdog > Duration::zero()),
      interval_(watched_ ? std::min<Duration>(options.watchdog / 2, kInterval) : kInterval),
      timer_(loop.timers(), [this] { turn(); }) {
  if (socket_.empty()) return;
  fd_ = io::FileDescriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  turn();
}

void ServiceManager::ready(std::function<std::string()> status) {
  status_ = std::move(status);
  state_ = "READY=1\n";
  turn();
}

void ServiceManager::stopping() {
  state_ = "STOPPING=1\n";
  turn();
}

void ServiceManager::turn() {
  if (socket_.empty()) return;
  const std::string now = state_ + (status_ ? "STATUS=" + status_() + "\n" : "");
  if (now != said_ && send(now)) said_ = now;
  if (watched_) send("WATCHDOG=1\n");
  timer_.arm(loop_.now() + interval_);
}

bool ServiceManager::send(const std::string& text) const {
  sockaddr_un address{};
  if (socket_.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  const bool abstract = socket_.front() == '@';  // its name begins with a zero byte, and has none at its end
  if (abstract) address.sun_path[0] = '\0';
  const size_t size = offsetof(sockaddr_un, sun_path) + socket_.size() + (abstract ? 0 : 1);
  return ::sendto(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
                  static_cast<socklen_t>(size)) >= 0;
}

}  // namespace hg::app
