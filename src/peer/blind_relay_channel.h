// The one Protomux channel "blind-relay" on a control connection: opening, pairing, closing; either end.
//
//   client: open(id)        ─▶ send(Pair) …          server: an open is answered with one of the same id
//   both: read(frame) for each message of the connection below ─▶ on_pair, on_unpair, on_close
//
// Other channels are rejected. Owned by whoever owns the connection, which outlives it; a handler may destroy neither. Source:
// npm protomux 3.12, blind-relay 1.6.
#pragma once

#include <functional>

#include "noise/connection.h"
#include "wire/protomux.h"

namespace hg::peer {

class BlindRelayChannel {
 public:
  static constexpr size_t kMaxFrame = 4096;  // bytes; genuine ones have less than 200
  static constexpr size_t kMaxRejects = 8;   // of other channels; the reference opens none

  struct Events {
    std::function<void(const wire::Pair&)> on_pair;
    std::function<void(const wire::Unpair&)> on_unpair;
    std::function<void()> on_close;
  };

  BlindRelayChannel(noise::Connection& connection, Events events) : connection_(connection), events_(std::move(events)) {}

  /// Client: `id` is its own public key.
  void open(ByteView id);
  void send(const wire::Pair& pair) { send(wire::kRelayPair, wire::encode(pair)); }
  void send(const wire::Unpair& unpair) { send(wire::kRelayUnpair, wire::encode(unpair)); }
  void close();
  /// One message of the connection. False: malformed or a nuisance, the connection is to end.
  [[nodiscard]] bool read(ByteView frame);

 private:
  static constexpr uint64_t kLocalId = 1;

  void send(uint64_t type, const Bytes& body);
  void write(const Bytes& frame);
  bool on_mux_open(const wire::MuxOpen& open);
  bool on_mux_message(const wire::MuxMessage& message);
  bool reject(uint64_t id);
  void on_remote_close();

  noise::Connection& connection_;
  Events events_;
  uint64_t remote_id_ = 0;  // 0: not open on their side
  bool opened_ = false;     // on ours
  size_t rejects_ = 0;
};

}  // namespace hg::peer
