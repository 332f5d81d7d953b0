#include "link/tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

namespace hg::link {

namespace {

Error failure(const std::string& what) { return {"TUN", what + ": " + std::strerror(errno)}; }

Expected<io::FileDescriptor> make_device(const std::string& name) {
  io::FileDescriptor device(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!device.valid()) return failure("cannot open /dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  if (ioctl(device.get(), TUNSETIFF, &request) != 0) return failure("cannot make the device " + name);
  return device;
}

}  // namespace

Expected<io::FileDescriptor> open_tun(const std::string& netns, const std::string& name) {
  const io::FileDescriptor home(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  const io::FileDescriptor there(::open(("/run/netns/" + netns).c_str(), O_RDONLY | O_CLOEXEC));
  if (!home.valid() || !there.valid()) return failure("no network namespace " + netns);
  if (setns(there.get(), CLONE_NEWNET) != 0) return failure("cannot enter the network namespace " + netns);
  auto device = make_device(name);
  if (setns(home.get(), CLONE_NEWNET) != 0) return failure("cannot leave the network namespace " + netns);
  return device;
}

}  // namespace hg::link
