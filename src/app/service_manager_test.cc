#include "app/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include "base/rng.h"
#include "support/scratch_folder.h"

namespace hg::app {
namespace {

class ServiceManagerTest : public test::WithFolder {
 protected:
  /// As systemd does it; `name`: a path, or with '@'.
  void listen(const std::string& name) {
    fd_ = io::FileDescriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name.front() == '@') address.sun_path[0] = '\0';
    const socklen_t size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    ASSERT_EQ(0, ::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size));
    options_.socket = name;
  }
  /// The next datagram; empty: there is none.
  std::string heard() const {
    char buffer[4096];
    const ssize_t size = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    return size < 0 ? std::string() : std::string(buffer, static_cast<size_t>(size));
  }
  bool hears(const std::string& text, Duration limit = 30s) {
    return loop_.run_until([&] { return heard() == text; }, limit);
  }

  SeededRng rng_{1};
  io::Loop loop_{rng_};
  io::FileDescriptor fd_;
  ManagerOptions options_;
};

TEST_F(ServiceManagerTest, ReadyStatusAndStoppingAreSaidWhenTheyChange) {
  listen(folder_ / "notify");
  std::string status = "no peers";
  ServiceManager manager(loop_, options_);
  EXPECT_EQ("", heard());
  manager.ready([&] { return status; });
  EXPECT_EQ("READY=1\nSTATUS=no peers\n", heard());
  status = "1 peer";
  EXPECT_TRUE(hears("READY=1\nSTATUS=1 peer\n"));
  manager.stopping();
  EXPECT_EQ("STOPPING=1\nSTATUS=1 peer\n", heard());
  EXPECT_FALSE(loop_.run_until([&] { return !heard().empty(); }, 2500ms)) << "nothing changed";
}

TEST_F(ServiceManagerTest, AnAbstractSocketWillDo) {
  listen("@hypergate-test-" + std::to_string(::getpid()));
  ServiceManager(loop_, options_).ready({});
  EXPECT_EQ("READY=1\n", heard());
}

TEST_F(ServiceManagerTest, WhatTheSocketDidNotTakeIsSaidAgain) {
  options_.socket = folder_ / "notify";
  ServiceManager manager(loop_, options_);
  manager.ready({});
  listen(folder_ / "notify");
  EXPECT_TRUE(hears("READY=1\n"));
}

TEST_F(ServiceManagerTest, TheWatchdogGetsTwoSignsOfLifeInItsTime) {
  listen(folder_ / "notify");
  options_.watchdog = 400ms;
  ServiceManager manager(loop_, options_);
  const TimePoint start = loop_.now();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(hears("WATCHDOG=1\n"));
  EXPECT_GE(loop_.now() - start, 600ms);
  EXPECT_LT(loop_.now() - start, 1500ms);
}

TEST_F(ServiceManagerTest, TheEnvironmentIsReadAndLeftWithoutIt) {
  ::setenv("NOTIFY_SOCKET", "/run/systemd/notify", 1);
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  const ManagerOptions ours = ManagerOptions::take();
  EXPECT_EQ("/run/systemd/notify", ours.socket);
  EXPECT_EQ(Duration(30s), ours.watchdog);
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) EXPECT_EQ(nullptr, ::getenv(name)) << name;
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(Duration::zero(), ManagerOptions::take().watchdog) << "meant for another process";
  EXPECT_EQ("", ManagerOptions::take().socket);
  ::setenv("WATCHDOG_USEC", "1", 1);
  EXPECT_EQ(Duration(20ms), ManagerOptions::take().watchdog) << "no sooner";
  ::setenv("WATCHDOG_USEC", "18446744073709551615", 1);
  EXPECT_EQ(Duration(1h), ManagerOptions::take().watchdog) << "no later";
}

TEST_F(ServiceManagerTest, WithoutAManagerOrWithANonsensicalOneNothingHappens) {
  for (const std::string& name : {std::string(), std::string(200, 'x'), std::string("/nonexistent/notify")}) {
    options_.socket = name;
    ServiceManager manager(loop_, options_);
    manager.ready({});
    manager.stopping();
  }
}

}  // namespace
}  // namespace hg::app
