#include "io/network_watch.h"

#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <sstream>
#include <vector>

#include "base/log.h"

namespace hg::io {
namespace {

Duration clock_now(clockid_t clock) {
  timespec at{};
  clock_gettime(clock, &at);
  return std::chrono::seconds(at.tv_sec) + std::chrono::nanoseconds(at.tv_nsec);
}

struct DefaultRoute {
  std::string device;
  std::string text;
};

/// `uplinks`: the interfaces whose running matters.
std::optional<std::vector<std::string>> addresses(const std::vector<DefaultRoute>& uplinks) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return std::nullopt;
  std::vector<std::string> out;
  for (const ifaddrs* i = list; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK)) continue;
    const uint32_t address = ntohl(reinterpret_cast<const sockaddr_in*>(i->ifa_addr)->sin_addr.s_addr);
    const bool uplink = std::any_of(uplinks.begin(), uplinks.end(), [&](const DefaultRoute& r) { return r.device == i->ifa_name; });
    const bool runs = (i->ifa_flags & IFF_UP) && (i->ifa_flags & IFF_RUNNING);
    out.push_back(std::string(i->ifa_name) + " " + std::to_string(address) + (uplink && !runs ? " down" : ""));
  }
  freeifaddrs(list);
  return out;
}

/// Of this thread's network: interface, gateway and metric of each route to everywhere.
std::vector<DefaultRoute> default_routes() {
  std::vector<DefaultRoute> out;
  std::ifstream file("/proc/thread-self/net/route");
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string device, destination, gateway, flags, references, uses, metric, mask;
    if (!(fields >> device >> destination >> gateway >> flags >> references >> uses >> metric >> mask)) continue;
    if (destination == "00000000" && mask == "00000000") out.push_back({device, "via " + gateway + " " + device + " " + metric});
  }
  return out;
}

}  // namespace

bool SleepDetector::check(Duration monotonic, Duration boot, Duration every) {
  const Duration passed = monotonic - std::exchange(monotonic_, monotonic);
  const Duration passed_boot = boot - std::exchange(boot_, boot);
  if (std::exchange(first_, false)) return false;
  return passed_boot - passed >= kSlept || passed - every >= kLate;
}

NetworkWatch::NetworkWatch(Loop& loop, std::function<void()> on_change, std::function<void()> on_wakeup)
    : loop_(loop),
      on_change_(std::move(on_change)),
      on_wakeup_(std::move(on_wakeup)),
      known_(fingerprint()),
      calm_timer_(loop.timers(), [this] { on_calm(); }),
      sleep_timer_(loop.timers(), [this] { check_sleep(); }) {
  open_netlink();
  check_sleep();
}

NetworkWatch::~NetworkWatch() = default;

std::optional<std::string> NetworkWatch::fingerprint() {
  const std::vector<DefaultRoute> routes = default_routes();
  auto parts = addresses(routes);
  if (!parts) return std::nullopt;
  for (const DefaultRoute& route : routes) parts->push_back(route.text);
  std::sort(parts->begin(), parts->end());
  std::string out;
  for (const std::string& part : *parts) out += part + "\n";
  return out;
}

void NetworkWatch::open_netlink() {
  FileDescriptor fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE;
  if (!fd.valid() || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    HG_LOG(kDebug, "io", "no rtnetlink here: changes of the network are noticed some seconds late");
    return;
  }
  netlink_ = std::make_unique<DescriptorWatch>(
      loop_, std::move(fd), [this] { on_readable(); }, [] {});
  netlink_->watch_read(true);
}

void NetworkWatch::on_readable() {
  std::array<char, 8192> volley;
  // What the messages say does not matter, nor that some got lost (ENOBUFS): the fingerprint is read anew.
  for (int i = 0; i < 256; ++i)
    if (::recv(netlink_->fd(), volley.data(), volley.size(), MSG_DONTWAIT) < 0 && errno != ENOBUFS) break;
  const TimePoint now = loop_.now();
  if (!volley_began_) volley_began_ = now;
  calm_timer_.arm(std::min(now + kCalm, *volley_began_ + kLongest));
}

void NetworkWatch::on_calm() {
  volley_began_.reset();
  auto now = fingerprint();
  if (!now || now == known_) return;
  known_ = std::move(now);
  on_change_();
}

void NetworkWatch::check_sleep() {
  sleep_timer_.arm(loop_.now() + kCheckSleep);
  if (sleep_.check(clock_now(CLOCK_MONOTONIC), clock_now(CLOCK_BOOTTIME), kCheckSleep)) on_wakeup_();
}

}  // namespace hg::io
