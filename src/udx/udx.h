// UDX (libudx's wire format): reliable byte streams and unordered messages over UDP, without I/O.
//
//   socket batch ─▶ Mux::on_datagram() ─▶ Stream (reassembly, acks)  ─▶ handler
//                   Mux::on_drained()  ─▶ each touched stream acks once and sends what it may
//   write() ─▶ queue ─▶ packets ─▶ UdpSocket::send_segments()
//
// One Mux per process (stream ids are global over its sockets). One thread. Sizes in bytes, sequence numbers in packets.
// Source of the format: libudx ae8bff7 (udx-native 1.21.3); algorithms: RFC 6298, 8985, 8899, BBR.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "base/byte_stream.h"
#include "base/endpoint.h"
#include "base/runtime.h"
#include "udx/bridge.h"

namespace hg::udx {

class Mux;

struct StreamStats {
  Duration smoothed_rtt{};
  Duration min_rtt{};
  uint64_t bytes_sent = 0;      // payload, first transmissions
  uint64_t bytes_received = 0;  // payload delivered in order
  uint64_t packets_sent = 0;
  uint64_t packets_retransmitted = 0;
  uint64_t packets_received = 0;
  uint64_t rto_count = 0;
  uint64_t tlp_count = 0;
  size_t congestion_window = 0;  // packets
  size_t in_flight = 0;          // packets
  uint64_t pacing_rate = 0;      // bytes per second
  size_t mtu = 0;                // IP packet size the stream sends
};

struct StreamOptions {
  size_t receive_window = 16 << 20;   // most that is advertised; a JavaScript peer advertises 4 MiB
  size_t write_high_water = 1 << 20;  // write() returns false beyond this many queued bytes, on slow paths much earlier
  /// Silence of the peer, while it owes an answer, after which the stream closes with ETIMEDOUT. (A peer that answers for 30 s without
  /// ever getting the oldest packet closes it likewise.)
  Duration dead_after = 8s;
  uint32_t first_seq = 0;  // of both directions; on the wire every stream begins at 0, tests begin shortly before the wrap
};

/// Decides on a packet that arrives on another socket than the stream's own, as every packet does before
/// connect(). True accepts it; the callback may call connect() itself.
using Firewall = std::function<bool(UdpSocket& socket, const Endpoint& from)>;

class Stream : public ByteStream {
 public:
  virtual uint32_t id() const = 0;
  /// Without one, packets on a foreign socket are refused.
  virtual void set_firewall(Firewall firewall) = 0;
  /// Names the peer; nothing is sent by this alone. `socket` must outlive the stream or be replaced by change_remote().
  virtual void connect(UdpSocket& socket, const Endpoint& remote, uint32_t remote_id) = 0;
  virtual bool connected() const = 0;
  /// New packets go to the new place at once; `done` runs when everything sent before is acknowledged.
  virtual void change_remote(UdpSocket& socket, const Endpoint& remote, uint32_t remote_id, std::function<void()> done) = 0;
  /// The old path is given up: the peer is reached at the new place from now on, and everything it has not acknowledged is sent there at
  /// once. Congestion control, round-trip times and the path MTU start anew; so it also serves to start over at the same place.
  virtual void relocate(UdpSocket& socket, const Endpoint& remote, uint32_t remote_id) = 0;
  /// Retransmits now what a timer that has backed off would retransmit later: the peer answers again.
  virtual void retry_now() = 0;
  virtual UdpSocket* socket() const = 0;
  virtual Endpoint remote() const = 0;
  virtual uint32_t remote_id() const = 0;
  /// An unordered, unacknowledged datagram (UDX MESSAGE). It leaves at the end of the turn, equally long ones in one call. False: longer
  /// than a packet takes, or not connected.
  virtual bool send_message(ByteView message) = 0;
  /// The same to another place than the stream's, and at once.
  virtual bool send_message_to(UdpSocket& socket, const Endpoint& to, ByteView message) = 0;
  virtual void set_message_handler(std::function<void(ByteView)> handler) = 0;
  /// Called before every packet of this stream. `fits`: the peer may well have sent these numbers; one who only knows the id would hardly
  /// hit them.
  using PacketObserver = std::function<void(UdpSocket& socket, const Endpoint& from, bool fits)>;
  virtual void set_packet_observer(PacketObserver observer) = 0;
  /// Time of the last packet that came from the peer.
  virtual TimePoint last_heard() const = 0;
  /// Since when something that was sent waits for an answer without anything having come from the peer; nullopt: nothing waits.
  virtual std::optional<TimePoint> owed_since() const = 0;
  /// Replaces StreamOptions::receive_window, which is not to shrink; the peer is told at once where it matters.
  virtual void set_receive_window(size_t bytes) = 0;
  /// Replaces StreamOptions::dead_after.
  virtual void set_dead_after(Duration dead_after) = 0;
  /// Asks the peer for a sign of life now (HEARTBEAT packet): every UDX peer answers with an ack.
  virtual void probe_peer() = 0;
  virtual StreamStats stats() const = 0;
};

struct MuxCounters {
  uint64_t malformed = 0;
  uint64_t unknown_stream = 0;
  uint64_t refused = 0;  // by a firewall
};

class Mux {
 public:
  explicit Mux(Runtime& runtime);
  ~Mux();

  /// A stream with a fresh random id. The caller owns it; it must not outlive the Mux.
  std::unique_ptr<Stream> create_stream(const StreamOptions& options = {});

  /// Two fresh ids whose packets are handed on to each other's peer. The caller owns it; it must not outlive the Mux.
  std::unique_ptr<Bridge> create_bridge(BridgeOptions options);

  /// True when `data` was a UDX packet of a live stream or bridge (consumed); false leaves it to others.
  bool on_datagram(UdpSocket& socket, const Endpoint& from, ByteView data);
  /// After a batch: acknowledge and send for every stream touched.
  void on_drained();

  const MuxCounters& counters() const;
  size_t stream_count() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hg::udx
