// For tests: a network that belongs to one thread.
#pragma once

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <fstream>
#include <functional>
#include <string_view>
#include <thread>

#include "io/file_descriptor.h"

namespace hg::test {

/// Runs `body` in a network namespace of its own: loopback only, and `ports` ("45000 45001") are all that the kernel gives to sockets
/// that ask for none. False: not allowed here, `body` did not run.
inline bool in_own_network(std::string_view ports, const std::function<void()>& body) {
  bool allowed = false;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) return;
    const io::FileDescriptor any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq loopback{};
    loopback.ifr_name[0] = 'l';
    loopback.ifr_name[1] = 'o';
    loopback.ifr_flags = IFF_UP | IFF_RUNNING;
    if (::ioctl(any.get(), SIOCSIFFLAGS, &loopback) != 0) return;
    if (!(std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << ports << std::flush)) return;
    allowed = true;
    body();
  }).join();
  return allowed;
}

}  // namespace hg::test
