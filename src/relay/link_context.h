// What the links of one relay share: loop, limits, counters and one read area.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "io/local_udp.h"
#include "io/loop.h"
#include "io/tcp.h"
#include "relay/left_behind.h"
#include "tunnel/channel.h"
#include "tunnel/counters.h"
#include "tunnel/limits.h"
#include "tunnel/provider.h"
#include "tunnel/rare_notice.h"
#include "tunnel/service_flow.h"

namespace hg::relay {

/// Reads sockets into Buffers that a channel can send without copying. Idle channels hold no buffer: there is one area for all, and a read
/// that fills little of it is copied into a Buffer of its size.
class ReadArea {
 public:
  /// Reads at most `most` bytes (<= kMaxStreamBody). On kBytes `out` holds them.
  io::IoResult read(io::TcpSocket& socket, const tunnel::Channel& channel, size_t most, Buffer& out);

 private:
  static constexpr size_t kWorthMoving = 16384;  // bytes; below, copying is cheaper than a fresh area

  Buffer area_;
};

using Resolver = std::function<void(io::Loop&, const std::string& host, uint16_t port, io::ResolveCallback)>;

struct LinkContext {
  io::Loop& loop;
  const tunnel::Limits& limits;
  tunnel::Counters* counters;
  ReadArea read_area;
  tunnel::RareNotice notices;
  tunnel::ServiceObserver* observer = nullptr;
  Resolver resolve = io::resolve_host;  // of UDP services
  LeftBehind left_behind{loop, limits};
};

/// Tells the observer, if there is one, of a new socket towards a service; null without.
std::shared_ptr<tunnel::ServiceFlow> announce_flow(LinkContext& context, const tunnel::ServiceRequest& request, uint32_t channel,
                                                   const io::SocketAddress& local, const io::SocketAddress& remote);

}  // namespace hg::relay
