// Every packet that was cut and is not yet acknowledged, by sequence number, and where each one stands.
//
//   add() ─▶ (cut) ─▶ flight ◀─▶ resend          flight: in the order of sending (RACK walks it from the oldest)
//                       └──▶ delivered ◀──┘      resend: lost, or not sent because the socket was full
//   advance(ack) forgets a delivered front
//
// Bytes "in flight" are IP packets' bytes. Owner: the sender. One thread. At most kMaxSpan packets.
#pragma once

#include "udx/rate_sampler.h"
#include "udx/seq_ranges.h"
#include "udx/seq_ring.h"

namespace hg::udx {

struct OutPacket {
  enum class State : uint8_t { kCut, kFlight, kResend, kDelivered };

  uint64_t offset = 0;  // of the payload in the stream
  TimePoint sent_at{};
  RateStamp stamp;
  Seq prev = 0;  // neighbours in the list it is in
  Seq next = 0;
  uint32_t order = 0;    // of the latest sending, counted over all packets
  uint16_t payload = 0;  // bytes
  uint8_t padding = 0;   // bytes, of an MTU probe
  uint8_t sendings = 0;  // saturates
  uint8_t losses = 0;    // over the present path; saturates
  State state = State::kCut;
  bool end = false;
  bool old_path = false;      // cut before change_remote()
  bool copied = false;        // sent once more without being taken for lost: an acknowledgement may be for either
  bool fragmentable = false;  // its latest sending went without DF
  bool stale = false;         // its latest sending went over a path that was given up
};

class Scoreboard {
 public:
  /// libudx buffers no farther than 65536 packets past its ack.
  static constexpr size_t kMaxSpan = 60000;

  explicit Scoreboard(size_t overhead, Seq first = 0) : ring_(first), overhead_(overhead) {}

  Seq una() const { return ring_.begin(); }
  Seq nxt() const { return ring_.end(); }
  bool empty() const { return ring_.empty(); }
  bool full() const { return ring_.size() >= kMaxSpan; }
  size_t span() const { return ring_.size(); }
  OutPacket& operator[](Seq seq) { return ring_[seq]; }
  const OutPacket& operator[](Seq seq) const { return ring_[seq]; }
  size_t wire_size(const OutPacket& p) const { return p.payload + p.padding + overhead_; }

  Seq add(uint64_t offset, uint16_t payload, bool end);
  void to_flight(Seq seq);
  void to_resend(Seq seq, bool at_front);
  /// Among what waits already, before the first with a higher number.
  void to_resend_in_order(Seq seq);
  void deliver(Seq seq);
  /// Takes a packet out of the resend list or the flight, to be put back by to_flight() or to_resend().
  void take(Seq seq);
  /// Forgets everything below `ack` (all delivered).
  void advance(Seq ack);

  bool flight_empty() const { return flight_.count == 0; }
  Seq flight_head() const { return flight_.head; }
  size_t flight_packets() const { return flight_.count; }
  size_t flight_bytes() const { return flight_bytes_; }
  bool resend_empty() const { return resend_.count == 0; }
  Seq resend_head() const { return resend_.head; }
  size_t resend_packets() const { return resend_.count; }
  /// Payload bytes that the peer has not reported as received.
  size_t undelivered_payload() const { return undelivered_payload_; }
  SeqRanges& sacked() { return sacked_; }
  const SeqRanges& sacked() const { return sacked_; }
  void release_idle();

 private:
  struct List {
    Seq head = 0;
    Seq tail = 0;
    size_t count = 0;
  };

  void link_back(List& list, Seq seq);
  void link_front(List& list, Seq seq);
  void link_in_order(List& list, Seq seq);
  void unlink(List& list, Seq seq);

  SeqRing<OutPacket> ring_;
  SeqRanges sacked_;
  List flight_;
  List resend_;
  Seq latest_ = 0;  // that was put in order: the next usually comes behind it
  size_t flight_bytes_ = 0;
  size_t undelivered_payload_ = 0;
  size_t overhead_;
};

}  // namespace hg::udx
