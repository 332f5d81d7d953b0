#include "tunnel/frames.h"

#include <algorithm>
#include <boost/json.hpp>

namespace hg::tunnel {

uint32_t load_u32_be(const uint8_t* from) {
  return static_cast<uint32_t>(from[0]) << 24 | static_cast<uint32_t>(from[1]) << 16 | static_cast<uint32_t>(from[2]) << 8 | from[3];
}

void store_u32_be(uint8_t* to, uint32_t value) {
  to[0] = static_cast<uint8_t>(value >> 24);
  to[1] = static_cast<uint8_t>(value >> 16);
  to[2] = static_cast<uint8_t>(value >> 8);
  to[3] = static_cast<uint8_t>(value);
}

namespace {

/// The text of an error: a JSON string's content, any other JSON as it stands.
std::string error_text(ByteView json) {
  boost::system::error_code failure;
  const boost::json::value value = boost::json::parse(std::string_view(as_text(json)), failure);
  if (!failure && value.is_string()) return std::string(value.get_string());
  return std::string(as_text(json));
}

/// Longest prefix of at most `limit` bytes that does not cut a UTF-8 sequence.
std::string_view cut_text(std::string_view text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<uint8_t>(text[limit]) & 0xc0) == 0x80) --limit;
  return text.substr(0, limit);
}

std::string error_json(std::string_view text) {
  size_t limit = kMaxErrorJson - 2;
  while (true) {
    const std::string json = boost::json::serialize(boost::json::string(cut_text(text, limit)));
    if (json.size() <= kMaxErrorJson) return json;
    limit -= (json.size() - kMaxErrorJson + 5) / 6;  // an escaped byte takes up to six: never cuts more than it must
  }
}

}  // namespace

std::optional<Message> parse_message(ByteView payload) {
  if (payload.size() < kMessageHeaderBytes) return std::nullopt;
  Message message;
  message.action = payload[0];
  const size_t error_length = payload[1];
  message.channel = load_u32_be(payload.data() + 2);
  message.body = payload.subspan(kMessageHeaderBytes);
  if (error_length != 0) {
    if (message.body.size() < error_length) return std::nullopt;
    message.is_error = true;
    message.error = error_text(message.body.first(error_length));
    message.body = {};
  }
  return message;
}

std::optional<OpenBody> parse_open(ByteView body) {
  if (body.size() < 4) return std::nullopt;
  OpenBody open;
  open.gate_port = load_u32_be(body.data());
  if (body.size() > 4) {
    open.protocol = body[4] == static_cast<uint8_t>(Protocol::kUdp) ? Protocol::kUdp : Protocol::kTcp;
    open.json = as_text(body.subspan(5));
  }
  return open;
}

void prepend_frame(Buffer& body, Action action, uint32_t channel, uint8_t error_length) {
  const auto length = static_cast<uint32_t>(body.size() + kMessageHeaderBytes);
  uint8_t* header = body.prepend(kFrameHeaderBytes);
  store_u32_be(header, length);
  header[4] = static_cast<uint8_t>(action);
  header[5] = error_length;
  store_u32_be(header + 6, channel);
}

namespace {

Buffer room_for_body(Room room, size_t body_bytes) {
  return Buffer::with_room(room.headroom + kFrameHeaderBytes, body_bytes + room.tailroom);
}

}  // namespace

Buffer make_frame(Room room, Action action, uint32_t channel, ByteView body) {
  Buffer frame = room_for_body(room, body.size());
  frame.append(body);
  prepend_frame(frame, action, channel);
  return frame;
}

Buffer make_hello_frame(Room room, bool is_gateway, ByteView auth) { return make_frame(room, Action::kHello, is_gateway ? 1 : 0, auth); }

Buffer make_open_frame(Room room, uint32_t channel, uint32_t gate_port, Protocol protocol, std::string_view json) {
  Buffer frame = room_for_body(room, 5 + json.size());
  ByteArray<5> head;
  store_u32_be(head.data(), gate_port);
  head[4] = static_cast<uint8_t>(protocol);
  frame.append(head);
  frame.append(as_bytes(json));
  prepend_frame(frame, Action::kOpen, channel);
  return frame;
}

Buffer make_error_frame(Room room, Action action, uint32_t channel, std::string_view text) {
  const std::string json = error_json(text);
  Buffer frame = room_for_body(room, json.size());
  frame.append(as_bytes(json));
  prepend_frame(frame, action, channel, static_cast<uint8_t>(json.size()));
  return frame;
}

Buffer make_credit_frame(Room room, uint32_t channel, uint32_t bytes) {
  ByteArray<4> body;
  store_u32_be(body.data(), bytes);
  return make_frame(room, Action::kCredit, channel, body);
}

Buffer make_probe_frame(Room room, uint32_t wanted_back, size_t filler) {
  Bytes body(sizeof(uint32_t) + filler);
  store_u32_be(body.data(), wanted_back);
  return make_frame(room, Action::kProbe, 0, body);
}

bool FrameReader::partial_complete() const {
  return partial_.size() >= kLengthBytes && partial_.size() - kLengthBytes >= load_u32_be(partial_.data());
}

bool FrameReader::complete_partial(ByteView& data) {
  const auto take = [&](size_t wanted) {
    const size_t n = std::min(wanted, data.size());
    append_bytes(partial_, data.first(n));
    data = data.subspan(n);
  };
  if (partial_.size() < kLengthBytes) take(kLengthBytes - partial_.size());
  if (partial_.size() < kLengthBytes) return true;
  const size_t length = load_u32_be(partial_.data());
  if (length > limit_) return false;
  take(kLengthBytes + length - partial_.size());
  return true;
}

Bytes make_unordered_datagram(uint32_t channel, ByteView datagram) {
  Bytes message(kUnorderedHeaderBytes + datagram.size());
  message[0] = kUnorderedKindDatagram;
  store_u32_be(message.data() + 1, channel);
  std::copy(datagram.begin(), datagram.end(), message.begin() + kUnorderedHeaderBytes);
  return message;
}

std::optional<UnorderedDatagram> parse_unordered_datagram(ByteView message) {
  if (message.size() < kUnorderedHeaderBytes || message[0] != kUnorderedKindDatagram) return std::nullopt;
  return UnorderedDatagram{load_u32_be(message.data() + 1), message.subspan(kUnorderedHeaderBytes)};
}

}  // namespace hg::tunnel
