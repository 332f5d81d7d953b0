// An encrypted connection between two Ed25519 keys: what peer hands to swarm, and swarm to tunnel.
// It is a ByteStream that keeps message boundaries (one write = one on_data), 5 s keepalives included.
#pragma once

#include <functional>
#include <optional>

#include "base/byte_stream.h"
#include "base/endpoint.h"
#include "base/ids.h"
#include "base/time.h"

namespace hg::noise {

/// Figures for people and metrics.
struct ConnectionStats {
  Endpoint remote;
  Duration smoothed_rtt{};
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  uint64_t packets_sent = 0;
  uint64_t packets_retransmitted = 0;
  size_t path_mtu = 0;
  bool relayed = false;
  std::optional<PublicKey> relay;  // through which key, while relayed
};

class Connection : public ByteStream {
 public:
  virtual const PublicKey& remote_key() const = 0;
  virtual const PublicKey& local_key() const = 0;
  virtual bool is_initiator() const = 0;
  virtual const Hash64& handshake_hash() const = 0;
  virtual ConnectionStats stats() const = 0;

  /// One datagram beside the stream: may be lost, reordered, repeated. False when it does not fit a packet.
  virtual bool send_unordered(ByteView message) = 0;
  /// The view is valid during the call only.
  virtual void set_unordered_handler(std::function<void(ByteView)> handler) = 0;

  /// From now on a message of more than `bytes` ends the connection, before it is gathered.
  virtual void limit_messages(size_t bytes) = 0;

  /// The peer said that it, too, can carry this connection over to another path: from now on its silence ends nothing for a while.
  virtual void allow_moves() {}
  /// False while the peer is silent and the connection is held for it.
  virtual bool answering() const { return true; }
  /// Told when answering() changes. Must not destroy the connection.
  virtual void set_answering_handler(std::function<void(bool answering)>) {}
};

}  // namespace hg::noise
