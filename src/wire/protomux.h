// Protomux frames (npm protomux 3.12) and blind-relay's two messages (npm blind-relay 1.6).
//
//   frame    channel uint (the sender's local id), type uint, body
//   control  channel 0: 0 batch, 1 open{local id, protocol, id, handshake}, 2 reject{id}, 3 close{local id}
//   batch    00 00 channel, then buffers of type+body; a zero length is followed by the next channel id
//
// Each frame is one message of the encrypted stream below. Plain data; decoders return nullopt on a fault.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "wire/compact.h"

namespace hg::wire {

constexpr std::string_view kBlindRelayProtocol = "blind-relay";
/// Message types of the blind-relay channel.
enum BlindRelayMessage : uint64_t { kRelayPair = 0, kRelayUnpair = 1 };

struct MuxOpen {
  uint64_t local_id = 0;
  std::string protocol;
  std::optional<Bytes> id;
  Bytes handshake;  // the rest of the frame, the protocol's own
};
struct MuxReject {
  uint64_t id = 0;  // the rejected opener's local id
};
struct MuxClose {
  uint64_t local_id = 0;
};
/// A message on an open channel; `body` points into the frame.
struct MuxMessage {
  uint64_t channel = 0;  // the sender's local id
  uint64_t type = 0;
  ByteView body;
};

/// False from any of them: nothing more of the frame is read.
struct MuxHandlers {
  std::function<bool(const MuxOpen&)> on_open;
  std::function<bool(const MuxReject&)> on_reject;
  std::function<bool(const MuxClose&)> on_close;
  std::function<bool(const MuxMessage&)> on_message;
};

Bytes encode(const MuxOpen& m);
Bytes encode(const MuxReject& m);
Bytes encode(const MuxClose& m);
Bytes encode(const MuxMessage& m);
/// Several channel messages in one frame.
Bytes encode_batch(std::span<const MuxMessage> messages);
/// Walks one frame, batches included, calling a handler per item; false when it is malformed or a handler refused (what came before has
/// been delivered). Batches inside batches are refused. Unset handlers skip. A batch may hold an item for every 2 bytes: whoever reads
/// strangers' frames bounds their length.
[[nodiscard]] bool read_mux_frame(ByteView frame, const MuxHandlers& handlers);

struct Pair {
  bool is_initiator = false;
  ByteArray<32> token{};
  uint64_t id = 0;
  uint64_t seq = 0;
  bool operator==(const Pair&) const = default;
};
struct Unpair {
  ByteArray<32> token{};
  bool operator==(const Unpair&) const = default;
};

Bytes encode(const Pair& m);
Bytes encode(const Unpair& m);
std::optional<Pair> decode_pair(ByteView in);
std::optional<Unpair> decode_unpair(ByteView in);

}  // namespace hg::wire
