#include "relay/service_links.h"

#include <algorithm>

#include "relay/link.h"
#include "relay/tcp_link.h"
#include "relay/udp_link.h"

namespace hg::relay {

// TCP and UDP links live in sets of their own: their idle times differ.
struct ServiceLinks::Sets {
  explicit Sets(io::Loop& loop) : tcp(loop), udp(loop) {}
  LinkSet tcp;
  LinkSet udp;
};

ServiceLinks::ServiceLinks(io::Loop& loop, const tunnel::Limits& limits)
    : context_{loop, limits, &own_counters_, {}, {}}, sets_(std::make_unique<Sets>(loop)), idle_timer_(loop.timers(), [this] { sweep(); }) {
  sweep();
}

ServiceLinks::~ServiceLinks() = default;

void ServiceLinks::set_counters(tunnel::Counters& counters) { context_.counters = &counters; }

size_t ServiceLinks::links() const { return sets_->tcp.size() + sets_->udp.size(); }

void ServiceLinks::connect(tunnel::ServiceRequest request, std::unique_ptr<tunnel::Channel> channel) {
  if (request.service.protocol == tunnel::Protocol::kUdp) {
    sets_->udp.add(std::make_unique<UdpLink>(context_, sets_->udp)).connect_to(std::move(request), std::move(channel));
  } else {
    sets_->tcp.add(std::make_unique<TcpLink>(context_, sets_->tcp)).connect_to(std::move(request), std::move(channel));
  }
}

void ServiceLinks::sweep() {
  const TimePoint now = context_.loop.now();
  const tunnel::Limits& limits = context_.limits;
  sets_->tcp.sweep(now - limits.tcp_socket_timeout, [](Link& link) { static_cast<TcpLink&>(link).expire(); });
  sets_->udp.sweep(now - limits.udp_socket_timeout, [](Link& link) { static_cast<UdpLink&>(link).expire(); });
  idle_timer_.arm(now + std::min({limits.channel_timeout_poll, limits.tcp_socket_timeout, limits.udp_socket_timeout}));
}

}  // namespace hg::relay
