#include "udx/scoreboard.h"

namespace hg::udx {

Seq Scoreboard::add(uint64_t offset, uint16_t payload, bool end) {
  const Seq seq = ring_.end();
  OutPacket& p = ring_.push_back();
  p.offset = offset;
  p.payload = payload;
  p.end = end;
  undelivered_payload_ += payload;
  return seq;
}

void Scoreboard::to_flight(Seq seq) {
  OutPacket& p = ring_[seq];
  p.state = OutPacket::State::kFlight;
  flight_bytes_ += wire_size(p);
  link_back(flight_, seq);
}

void Scoreboard::to_resend(Seq seq, bool at_front) {
  ring_[seq].state = OutPacket::State::kResend;
  if (at_front)
    link_front(resend_, seq);
  else
    link_back(resend_, seq);
}

void Scoreboard::to_resend_in_order(Seq seq) {
  ring_[seq].state = OutPacket::State::kResend;
  link_in_order(resend_, seq);
  latest_ = seq;
}

void Scoreboard::take(Seq seq) {
  OutPacket& p = ring_[seq];
  if (p.state == OutPacket::State::kFlight) {
    flight_bytes_ -= wire_size(p);
    unlink(flight_, seq);
  } else if (p.state == OutPacket::State::kResend) {
    unlink(resend_, seq);
  }
  p.state = OutPacket::State::kCut;
}

void Scoreboard::deliver(Seq seq) {
  take(seq);
  OutPacket& p = ring_[seq];
  p.state = OutPacket::State::kDelivered;
  undelivered_payload_ -= p.payload;
}

void Scoreboard::advance(Seq ack) {
  while (ring_.begin() != ack) ring_.pop_front();
  if (!sacked_.empty()) sacked_.drop_below(ack);
}

void Scoreboard::release_idle() {
  if (ring_.empty()) ring_.release();
  sacked_.release();
}

void Scoreboard::link_back(List& list, Seq seq) {
  if (list.count++ == 0) {
    list.head = list.tail = seq;
    return;
  }
  ring_[list.tail].next = seq;
  ring_[seq].prev = list.tail;
  list.tail = seq;
}

void Scoreboard::link_front(List& list, Seq seq) {
  if (list.count++ == 0) {
    list.head = list.tail = seq;
    return;
  }
  ring_[list.head].prev = seq;
  ring_[seq].next = list.head;
  list.head = seq;
}

void Scoreboard::link_in_order(List& list, Seq seq) {
  if (list.count == 0 || seq_before(list.tail, seq)) return link_back(list, seq);
  if (seq_before(seq, list.head)) return link_front(list, seq);
  const bool near = ring_.contains(latest_) && ring_[latest_].state == OutPacket::State::kResend && seq_before(latest_, seq);
  Seq before = near ? latest_ : list.head;
  while (seq_before(ring_[before].next, seq)) before = ring_[before].next;
  ring_[seq].prev = before;
  ring_[seq].next = ring_[before].next;
  ring_[ring_[before].next].prev = seq;
  ring_[before].next = seq;
  ++list.count;
}

void Scoreboard::unlink(List& list, Seq seq) {
  const OutPacket& p = ring_[seq];
  if (seq == list.head)
    list.head = p.next;
  else
    ring_[p.prev].next = p.next;
  if (seq == list.tail)
    list.tail = p.prev;
  else
    ring_[p.next].prev = p.prev;
  --list.count;
}

}  // namespace hg::udx
