#include "udx/send_queue.h"

#include <algorithm>

namespace hg::udx {

void SendQueue::append(Buffer bytes) {
  if (bytes.empty()) return;
  const size_t size = bytes.size();
  if (size < kJoinBelow && head_ < chunks_.size()) {
    Buffer& last = chunks_.back().bytes;
    if (last.size() + last.tailroom() >= kJoinBuffer && last.tailroom() >= size) {
      last.append(bytes.view());
      end_ += size;
      return;
    }
    if (last.size() < kJoinBelow) {
      Buffer joined = Buffer::with_room(0, kJoinBuffer);
      joined.append(bytes.view());
      bytes = std::move(joined);
    }
  }
  chunks_.push_back({end_, std::move(bytes)});
  end_ += size;
}

size_t SendQueue::chunk_at(uint64_t offset) {
  const auto holds = [&](size_t i) {
    return i >= head_ && i < chunks_.size() && chunks_[i].start <= offset && offset < chunks_[i].start + chunks_[i].bytes.size();
  };
  if (holds(cursor_)) return cursor_;
  if (holds(cursor_ + 1)) return cursor_ + 1;
  const auto after = std::partition_point(chunks_.begin() + static_cast<std::ptrdiff_t>(head_), chunks_.end(),
                                          [offset](const Chunk& c) { return c.start <= offset; });
  return static_cast<size_t>(after - chunks_.begin()) - 1;
}

void SendQueue::gather(uint64_t offset, size_t length, std::vector<ByteView>& out) {
  if (length == 0) return;
  size_t index = chunk_at(offset);
  for (;;) {
    const Chunk& chunk = chunks_[index];
    const size_t skip = static_cast<size_t>(offset - chunk.start);
    const size_t take = std::min(length, chunk.bytes.size() - skip);
    out.push_back(chunk.bytes.view().subspan(skip, take));
    length -= take;
    if (length == 0) break;
    offset += take;
    ++index;
  }
  cursor_ = index;
}

void SendQueue::release_before(uint64_t offset) {
  while (head_ < chunks_.size() && chunks_[head_].start + chunks_[head_].bytes.size() <= offset) chunks_[head_++].bytes = Buffer();
  if (head_ == chunks_.size()) {
    chunks_.clear();
    if (chunks_.capacity() > 256) chunks_.shrink_to_fit();
    head_ = cursor_ = 0;
  } else if (head_ >= 64 && head_ * 2 >= chunks_.size()) {
    chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<std::ptrdiff_t>(head_));
    cursor_ = cursor_ > head_ ? cursor_ - head_ : 0;
    head_ = 0;
  }
}

void SendQueue::clear() {
  std::vector<Chunk>().swap(chunks_);
  head_ = cursor_ = 0;
}

}  // namespace hg::udx
