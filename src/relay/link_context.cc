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

}  // namespace hg::relay
