// Cuts the byte stream below an encrypted connection into its units: u24 LE length, then the bytes.
//
//   ByteView left = chunk;   while (auto unit = reader.next(left)) use(*unit);   if (reader.too_long()) …
//
// A unit that lies in one chunk is copied once (views are const, decryption works in place); one that
// is spread over chunks is gathered as its bytes arrive, so memory follows what was received and never
// what was claimed. The buffer is reused; release() gives it back. Owned by the connection.
#pragma once

#include <optional>

#include "base/bytes.h"

namespace hg::noise {

class FrameReader {
 public:
  static constexpr size_t kLengthBytes = 3;

  /// The next complete unit, writable, valid until the next call; nullopt when `bytes` are used up (they are remembered), or too_long().
  std::optional<MutableBytes> next(ByteView& bytes);
  /// Longest unit that is gathered, in bytes.
  void set_limit(size_t bytes) { limit_ = bytes; }
  /// A unit beyond the limit began: there is no next one.
  bool too_long() const { return too_long_; }
  /// Frees the buffer unless a unit is half received.
  void release();
  size_t capacity() const { return unit_.capacity(); }
  /// Bytes of a unit that is half received.
  size_t pending() const { return delivered_ ? 0 : length_size_ + unit_.size(); }

 private:
  Bytes unit_;
  ByteArray<kLengthBytes> length_{};
  size_t length_size_ = 0;
  size_t limit_ = SIZE_MAX;
  bool too_long_ = false;
  bool delivered_ = false;  // unit_ holds what the last call returned
};

}  // namespace hg::noise
