// A blind relay's middle: two stream ids whose packets are handed on to each other's peer, unread and unchanged but for the id.
//
//   peer A ─ packet for id(A) ─▶ Bridge ─ id := B's own ─▶ [queue, as the rate allows] ─▶ peer B      (and the other way round)
//
// A side takes packets only on the socket and from the host where its peer is known to be: the port may change (a NAT that
// forgot), no other host may come in between. What the rates do not allow now waits in one short queue for both directions; beyond that it
// is dropped, as any narrow link would. Pairs that wait for the common rate take turns. A DESTROY is handed on and told to the owner.
// Consecutive packets leave together (GSO) once their batch is drained.
//
// Owned by whoever relays; the Mux outlives it. One thread. Rates in bytes a second of UDP payload. libudx ae8bff7 calls this
// udx_stream_relay_to.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "base/runtime.h"
#include "udx/bandwidth.h"
#include "udx/datagram_run.h"

namespace hg::udx {

class MuxCore;

struct BridgeCounters {
  uint64_t packets = 0;  // handed on, both directions
  uint64_t bytes = 0;
  uint64_t dropped = 0;  // by the rate, or not sent by the kernel
  uint64_t foreign = 0;  // from elsewhere
};

struct BridgePlace {
  UdpSocket* socket = nullptr;
  Endpoint remote{};
  std::shared_ptr<void> owner{};  // keeps the socket, where it is nobody else's
};

struct BridgeOptions {
  /// What the peers call their streams.
  std::array<uint32_t, 2> remote_ids{};
  /// Where a side's peer is now, as its control connection knows; nullopt once that is gone: the last place stays.
  std::function<std::optional<BridgePlace>(size_t side)> where;
  std::shared_ptr<Bandwidth> own;          // of this pair
  std::shared_ptr<SharedBandwidth> total;  // of all
  BridgeCounters* totals = nullptr;        // counted there too
  std::function<void()> on_destroyed{};    // a peer ended its stream at once; must not destroy the bridge
};

class Bridge final : private SharedBandwidth::Waiter {
 public:
  Bridge(MuxCore& core, BridgeOptions options);
  ~Bridge() override;
  Bridge(const Bridge&) = delete;
  Bridge& operator=(const Bridge&) = delete;

  /// What the peer of that side (0 or 1) is to put into its packets.
  uint32_t id(size_t side) const { return ids_[side]; }
  const BridgeCounters& counters() const { return counters_; }
  TimePoint last_packet() const { return last_packet_; }

  // MuxCore
  void on_packet(uint32_t id, UdpSocket& socket, const Endpoint& from, ByteView datagram);
  void flush();
  bool touched = false;

 private:
  struct Packet {
    size_t to;
    Bytes datagram;
  };

  bool admits(size_t side, UdpSocket& socket, const Endpoint& from);
  bool pass_now(size_t bytes, TimePoint now);
  /// If not, the timer is set for when it will.
  bool own_allows_next();
  void wait();
  size_t next_bytes() const override { return queue_.front().datagram.size(); }
  bool serve() override;
  void hand_on(size_t to, ByteView datagram);
  void send(size_t to);
  void drop() { count(&BridgeCounters::dropped, 1); }
  void count(uint64_t BridgeCounters::*which, uint64_t n);

  MuxCore& core_;
  BridgeOptions options_;
  std::array<uint32_t, 2> ids_{};
  std::array<BridgePlace, 2> places_{};
  std::array<DatagramRun, 2> runs_;
  std::deque<Packet> queue_;
  size_t queued_ = 0;  // bytes
  BridgeCounters counters_;
  TimePoint last_packet_;
  Timer timer_;  // until its own rate allows the next
};

}  // namespace hg::udx
