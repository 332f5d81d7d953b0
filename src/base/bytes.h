// Byte views and owned byte buffers.
//
// ByteView / MutableBytes never own. Bytes owns a fixed or growing vector. Buffer owns one
// uninitialised allocation with head room, so that each layer can prepend its header and append its
// trailer without moving the payload. All sizes are in bytes.
#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hg {

using ByteView = std::span<const uint8_t>;
using MutableBytes = std::span<uint8_t>;
using Bytes = std::vector<uint8_t>;
template <size_t N>
using ByteArray = std::array<uint8_t, N>;

inline ByteView as_bytes(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }
inline std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline Bytes to_bytes(ByteView view) { return Bytes(view.begin(), view.end()); }
inline bool equal_bytes(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}
/// Appends `more` to `out`.
inline void append_bytes(Bytes& out, ByteView more) { out.insert(out.end(), more.begin(), more.end()); }

/// Lower-case hexadecimal.
std::string to_hex(ByteView bytes);
/// Decodes `text` into exactly `out.size()` bytes; either case. False (out unspecified) on any other length or a non-digit.
[[nodiscard]] bool from_hex(std::string_view text, MutableBytes out);

/// One owned allocation: [head room | data | tail room]. Move-only.
class Buffer {
 public:
  Buffer() = default;
  /// Room for `capacity` data bytes after `headroom` spare bytes; starts empty.
  static Buffer with_room(size_t headroom, size_t capacity);
  static Buffer copy_of(ByteView bytes, size_t headroom = 0);

  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer moved(std::move(other));
    swap(moved);
    return *this;
  }

  uint8_t* data() { return memory_.get() + begin_; }
  const uint8_t* data() const { return memory_.get() + begin_; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  size_t headroom() const { return begin_; }
  size_t tailroom() const { return capacity_ - end_; }
  ByteView view() const { return {data(), size()}; }
  MutableBytes span() { return {data(), size()}; }
  /// The unused bytes behind the data, to be written and then claimed with grow().
  MutableBytes tail() { return {memory_.get() + end_, tailroom()}; }

  /// Claims `n` bytes of tail room as data (n <= tailroom()).
  void grow(size_t n) {
    assert(n <= tailroom());
    end_ += n;
  }
  /// Claims `n` bytes of head room as data and returns their start (n <= headroom()).
  uint8_t* prepend(size_t n) {
    assert(n <= headroom());
    begin_ -= n;
    return data();
  }
  void drop_front(size_t n) {
    assert(n <= size());
    begin_ += n;
  }
  void truncate(size_t n) {
    assert(n <= size());
    end_ = begin_ + n;
  }
  /// Appends bytes that must fit in the tail room.
  void append(ByteView bytes) {
    assert(bytes.size() <= tailroom());
    if (!bytes.empty()) std::memcpy(memory_.get() + end_, bytes.data(), bytes.size());
    end_ += bytes.size();
  }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(capacity_, other.capacity_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
  }

  std::unique_ptr<uint8_t[]> memory_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace hg
