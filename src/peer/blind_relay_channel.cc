#include "peer/blind_relay_channel.h"

namespace hg::peer {

void BlindRelayChannel::write(const Bytes& frame) {
  Buffer out = Buffer::with_room(connection_.write_headroom(), frame.size() + connection_.write_tailroom());
  out.append(frame);
  connection_.write(std::move(out));
}

void BlindRelayChannel::open(ByteView id) {
  opened_ = true;
  write(wire::encode(wire::MuxOpen{kLocalId, std::string(wire::kBlindRelayProtocol), to_bytes(id), {}}));
}

void BlindRelayChannel::send(uint64_t type, const Bytes& body) {
  if (opened_) write(wire::encode(wire::MuxMessage{kLocalId, type, body}));
}

void BlindRelayChannel::close() {
  if (std::exchange(opened_, false)) write(wire::encode(wire::MuxClose{kLocalId}));
}

bool BlindRelayChannel::read(ByteView frame) {
  if (frame.size() > kMaxFrame) return false;
  wire::MuxHandlers handlers;
  handlers.on_open = [this](const wire::MuxOpen& open) { return on_mux_open(open); };
  handlers.on_message = [this](const wire::MuxMessage& message) { return on_mux_message(message); };
  handlers.on_reject = [this](const wire::MuxReject& reject) {
    if (reject.id == kLocalId) on_remote_close();
    return true;
  };
  handlers.on_close = [this](const wire::MuxClose& close) {
    if (close.local_id == remote_id_) on_remote_close();
    return true;
  };
  return wire::read_mux_frame(frame, handlers);
}

bool BlindRelayChannel::on_mux_open(const wire::MuxOpen& open) {
  const bool fits = open.protocol == wire::kBlindRelayProtocol && open.local_id != 0 && remote_id_ == 0;
  if (!fits) return reject(open.local_id);
  remote_id_ = open.local_id;
  if (opened_) return true;
  opened_ = true;
  write(wire::encode(wire::MuxOpen{kLocalId, open.protocol, open.id, {}}));
  return true;
}

bool BlindRelayChannel::reject(uint64_t id) {
  if (++rejects_ > kMaxRejects) return false;
  write(wire::encode(wire::MuxReject{id}));
  return true;
}

bool BlindRelayChannel::on_mux_message(const wire::MuxMessage& message) {
  if (message.channel != remote_id_ || remote_id_ == 0) return true;
  if (message.type == wire::kRelayPair) {
    const auto pair = wire::decode_pair(message.body);
    if (!pair) return false;
    if (events_.on_pair) events_.on_pair(*pair);
  } else if (message.type == wire::kRelayUnpair) {
    const auto unpair = wire::decode_unpair(message.body);
    if (!unpair) return false;
    if (events_.on_unpair) events_.on_unpair(*unpair);
  }
  return true;
}

void BlindRelayChannel::on_remote_close() {
  opened_ = false;
  remote_id_ = 0;
  if (events_.on_close) events_.on_close();
}

}  // namespace hg::peer
