// The bytes of the sending direction that are not yet acknowledged: buffers as they were written, addressed by stream offset.
//
//   append() ─▶ [ acknowledged … | sent … | unsent … ] ─▶ gather(offset, length) ─▶ slices, without copying
//
// Small writes in a row are joined into one buffer. Owner: the sender. One thread. Offsets and sizes in bytes.
#pragma once

#include <vector>

#include "base/bytes.h"

namespace hg::udx {

class SendQueue {
 public:
  void append(Buffer bytes);
  /// Appends the slices that make up [offset, offset + length) to `out`. The range must be within [begin, end).
  void gather(uint64_t offset, size_t length, std::vector<ByteView>& out);
  /// Frees every buffer that ends at or before `offset`.
  void release_before(uint64_t offset);
  uint64_t end() const { return end_; }
  void clear();

 private:
  struct Chunk {
    uint64_t start = 0;
    Buffer bytes;
  };
  static constexpr size_t kJoinBelow = 512;  // writes shorter than this are copied together
  static constexpr size_t kJoinBuffer = 4096;

  size_t chunk_at(uint64_t offset);

  std::vector<Chunk> chunks_;
  size_t head_ = 0;
  size_t cursor_ = 0;  // where the last gather() ended
  uint64_t end_ = 0;
};

}  // namespace hg::udx
