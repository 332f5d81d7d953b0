#include "wire/protomux.h"

#include <algorithm>

namespace hg::wire {
namespace {

enum Control : uint64_t { kBatch = 0, kOpen = 1, kReject = 2, kClose = 3 };
constexpr uint64_t kControlChannel = 0;

Encoder control_frame(Control type) {
  Encoder e;
  e.uint(kControlChannel);
  e.uint(type);
  return e;
}

template <class Item>
bool tell(const std::function<bool(const Item&)>& handler, const Item& item) {
  return !handler || handler(item);
}

bool read_open(Decoder& d, const MuxHandlers& handlers) {
  MuxOpen m;
  m.local_id = d.uint();
  m.protocol = std::string(d.string());
  if (const auto id = d.optional_buffer()) m.id = to_bytes(*id);
  m.handshake = to_bytes(d.rest());
  if (!d.ok()) return false;
  return tell(handlers.on_open, m);
}

bool read_batch(Decoder& d, const MuxHandlers& handlers);

bool read_item(uint64_t channel, Decoder& d, const MuxHandlers& handlers, bool inside_batch) {
  const uint64_t type = d.uint();
  if (!d.ok()) return false;
  if (channel != kControlChannel) return tell(handlers.on_message, {channel, type, d.rest()});
  switch (type) {
    case kBatch:
      return !inside_batch && read_batch(d, handlers);
    case kOpen:
      return read_open(d, handlers);
    case kReject:
    case kClose: {
      const uint64_t id = d.uint();
      if (!d.ok()) return false;
      return type == kReject ? tell(handlers.on_reject, {id}) : tell(handlers.on_close, {id});
    }
    default:
      return true;
  }
}

bool read_batch(Decoder& d, const MuxHandlers& handlers) {
  uint64_t channel = d.uint();
  while (d.ok() && d.remaining() > 0) {
    const uint64_t length = d.uint();
    if (length == 0) {
      channel = d.uint();
      continue;
    }
    Decoder item(d.take(static_cast<size_t>(std::min<uint64_t>(length, d.remaining()))));
    if (!d.ok() || !read_item(channel, item, handlers, true)) return false;
  }
  return d.ok();
}

}  // namespace

Bytes encode(const MuxOpen& m) {
  Encoder e = control_frame(kOpen);
  e.uint(m.local_id);
  e.string(m.protocol);
  e.buffer(m.id ? ByteView(*m.id) : ByteView());
  e.raw(m.handshake);
  return e.take();
}

Bytes encode(const MuxReject& m) {
  Encoder e = control_frame(kReject);
  e.uint(m.id);
  return e.take();
}

Bytes encode(const MuxClose& m) {
  Encoder e = control_frame(kClose);
  e.uint(m.local_id);
  return e.take();
}

Bytes encode(const MuxMessage& m) {
  Encoder e;
  e.uint(m.channel);
  e.uint(m.type);
  e.raw(m.body);
  return e.take();
}

Bytes encode_batch(std::span<const MuxMessage> messages) {
  Encoder e = control_frame(kBatch);
  uint64_t channel = kControlChannel;
  bool first = true;
  for (const MuxMessage& m : messages) {
    if (first || m.channel != channel) {
      if (!first) e.uint(0);
      e.uint(channel = m.channel);
      first = false;
    }
    e.uint(uint_size(m.type) + m.body.size());
    e.uint(m.type);
    e.raw(m.body);
  }
  return e.take();
}

bool read_mux_frame(ByteView frame, const MuxHandlers& handlers) {
  Decoder d(frame);
  const uint64_t channel = d.uint();
  return d.ok() && read_item(channel, d, handlers, false);
}

Bytes encode(const Pair& m) {
  Encoder e;
  e.uint8(m.is_initiator ? 1 : 0);
  e.raw(m.token);
  e.uint(m.id);
  e.uint(m.seq);
  return e.take();
}

Bytes encode(const Unpair& m) {
  Encoder e;
  e.uint8(0);
  e.raw(m.token);
  return e.take();
}

std::optional<Pair> decode_pair(ByteView in) {
  Decoder d(in);
  Pair m;
  m.is_initiator = (d.uint8() & 1) != 0;
  m.token = d.fixed<32>();
  m.id = d.uint();
  m.seq = d.uint();
  if (!d.ok()) return std::nullopt;
  return m;
}

std::optional<Unpair> decode_unpair(ByteView in) {
  Decoder d(in);
  d.uint8();
  Unpair m{d.fixed<32>()};
  if (!d.ok()) return std::nullopt;
  return m;
}

}  // namespace hg::wire
