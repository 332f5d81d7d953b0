#include "udx/receiver.h"

namespace hg::udx {

Receiver::Verdict Receiver::accept(Seq seq, bool end, ByteView payload) {
  if (seq_before(seq, ack_)) return Verdict::kOld;
  if (end_seq_ && seq_before(*end_seq_, seq)) return Verdict::kRefused;
  if (end && !end_seq_ && !early_.empty() && seq_before(seq + 1, early_.back().end)) return Verdict::kRefused;
  const bool direct = seq == ack_ && delivered_ == ack_ && !paused_;
  if (direct) {
    ++delivered_;
    if (ring_.empty())
      ring_.restart_at(delivered_);
    else
      ring_.pop_front();
  } else if (early_.contains(seq)) {
    return Verdict::kOld;
  } else if (!keep(seq, payload)) {
    return Verdict::kRefused;
  }
  if (end) end_seq_ = seq;
  if (seq != ack_) {
    early_.add(seq);
    return Verdict::kKept;
  }
  ++ack_;
  if (!early_.empty() && early_.front().start == ack_) {
    ack_ = early_.front().end;
    early_.drop_below(ack_);
  }
  return direct ? Verdict::kDirect : Verdict::kKept;
}

bool Receiver::keep(Seq seq, ByteView payload) {
  if (seq - delivered_ >= max_span()) return false;
  const size_t cost = cost_of(payload.size());
  if (cost_ + cost > window_ + kSlack) return false;
  if (seq != ack_ && early_.size() >= kMaxRanges) return false;
  if (ring_.empty()) ring_.restart_at(delivered_);
  ring_.extend_to(seq);
  Slot& slot = ring_[seq];
  slot.data = pool_.take(payload.size());
  std::copy(payload.begin(), payload.end(), slot.data.get());
  slot.size = static_cast<uint32_t>(payload.size());
  slot.present = true;
  cost_ += cost;
  return true;
}

std::optional<ByteView> Receiver::next() const {
  if (paused_ || delivered_ == ack_) return std::nullopt;
  const Slot& slot = ring_[delivered_];
  return ByteView(slot.data.get(), slot.size);
}

void Receiver::pop() {
  Slot& slot = ring_[delivered_];
  cost_ -= cost_of(slot.size);
  pool_.give_back(std::move(slot.data), slot.size);
  ring_.pop_front();
  ++delivered_;
}

size_t Receiver::sacks(std::span<wire::UdxSackRange> out) {
  const size_t total = early_.size();
  size_t written = 0;
  const auto put = [&](size_t from, size_t count) {
    for (size_t i = from; i < from + count; ++i) out[written++] = {early_[i].start, early_[i].end};
  };
  if (total <= out.size()) {
    put(0, total);
    return written;
  }
  const size_t low = out.size() / 5;
  const size_t high = out.size() / 2;
  const size_t middle = out.size() - low - high;
  const size_t span = total - low - high;
  if (rotation_ + middle > span) rotation_ = 0;
  put(0, low);
  put(low + rotation_, middle);
  put(total - high, high);
  rotation_ += middle;
  return written;
}

void Receiver::release_idle() {
  if (ring_.empty()) ring_.release();
  early_.release();
}

void Receiver::drop_all() {
  while (!ring_.empty()) {
    Slot& slot = ring_[ring_.begin()];
    if (slot.present) pool_.give_back(std::move(slot.data), slot.size);
    ring_.pop_front();
  }
  ring_.release();
  cost_ = 0;
}

size_t Receiver::memory_bytes() const {
  size_t total = ring_.capacity() * sizeof(Slot);
  for (Seq seq = ring_.begin(); seq != ring_.end(); ++seq)
    if (ring_[seq].present) total += BlockPool::block_bytes(ring_[seq].size);
  return total;
}

}  // namespace hg::udx
