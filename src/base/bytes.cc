#include "base/bytes.h"

namespace hg {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (uint8_t b : bytes) {
    text.push_back(kDigits[b >> 4]);
    text.push_back(kDigits[b & 15]);
  }
  return text;
}

bool from_hex(std::string_view text, MutableBytes out) {
  if (text.size() != out.size() * 2) return false;
  for (size_t i = 0; i < out.size(); ++i) {
    const int high = hex_digit(text[2 * i]);
    const int low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

Buffer Buffer::with_room(size_t headroom, size_t capacity) {
  Buffer buffer;
  buffer.capacity_ = headroom + capacity;
  buffer.memory_.reset(new uint8_t[buffer.capacity_]);
  buffer.begin_ = buffer.end_ = headroom;
  return buffer;
}

Buffer Buffer::copy_of(ByteView bytes, size_t headroom) {
  Buffer buffer = with_room(headroom, bytes.size());
  buffer.append(bytes);
  return buffer;
}

}  // namespace hg
