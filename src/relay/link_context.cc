#include "relay/link_context.h"

#include <algorithm>

namespace hg::relay {

io::IoResult ReadArea::read(io::TcpSocket& socket, const tunnel::Channel& channel, size_t most, Buffer& out) {
  const tunnel::Room room = channel.buffer_room();
  if (area_.headroom() != room.headroom || area_.tailroom() < tunnel::kMaxStreamBody + room.tailroom)
    area_ = Buffer::with_room(room.headroom, tunnel::kMaxStreamBody + room.tailroom);
  const io::IoResult result = socket.read(area_.tail().first(std::min(most, tunnel::kMaxStreamBody)));
  if (result.kind != io::IoResult::Kind::kBytes) return result;
  if (result.bytes >= kWorthMoving) {
    area_.grow(result.bytes);
    out = std::move(area_);
    area_ = Buffer();
  } else {
    out = Buffer::with_room(room.headroom, result.bytes + room.tailroom);
    out.append(area_.tail().first(result.bytes));
  }
  return result;
}

std::shared_ptr<tunnel::ServiceFlow> announce_flow(LinkContext& context, const tunnel::ServiceRequest& request, uint32_t channel,
                                                   const io::SocketAddress& local, const io::SocketAddress& remote) {
  if (context.observer == nullptr || local.family() == AF_UNIX) return nullptr;
  auto flow = std::make_shared<tunnel::ServiceFlow>();
  flow->protocol = request.service.protocol;
  flow->gate_port = request.service.gate_port;
  flow->channel = channel;
  flow->remote_ip = local.canonical_host();
  flow->remote_port = local.port();
  flow->server_ip = remote.canonical_host();
  flow->server_port = remote.port();
  flow->fingerprint = request.fingerprint;
  flow->created_at_ms = context.loop.wall_ms();
  flow->last_traffic = context.loop.now();
  context.observer->on_service_flow(flow);
  return flow;
}

}  // namespace hg::relay
