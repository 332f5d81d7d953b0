#include "noise/frame_reader.h"

#include <algorithm>

namespace hg::noise {
namespace {

size_t read_u24(const uint8_t* at) { return at[0] | size_t{at[1]} << 8 | size_t{at[2]} << 16; }

}  // namespace

std::optional<MutableBytes> FrameReader::next(ByteView& bytes) {
  if (delivered_) {
    delivered_ = false;
    unit_.clear();
    length_size_ = 0;
  }
  if (length_size_ == 0 && bytes.size() >= kLengthBytes) {
    const size_t length = read_u24(bytes.data());
    if (length <= limit_ && bytes.size() - kLengthBytes >= length) {
      const ByteView unit = bytes.subspan(kLengthBytes, length);
      unit_.assign(unit.begin(), unit.end());
      bytes = bytes.subspan(kLengthBytes + length);
      delivered_ = true;
      return MutableBytes(unit_);
    }
  }
  while (length_size_ < kLengthBytes && !bytes.empty()) {
    length_[length_size_++] = bytes.front();
    bytes = bytes.subspan(1);
  }
  if (length_size_ < kLengthBytes) return std::nullopt;
  const size_t length = read_u24(length_.data());
  too_long_ = length > limit_;
  if (too_long_) return std::nullopt;
  const ByteView more = bytes.first(std::min(bytes.size(), length - unit_.size()));
  unit_.insert(unit_.end(), more.begin(), more.end());
  bytes = bytes.subspan(more.size());
  if (unit_.size() < length) return std::nullopt;
  delivered_ = true;
  return MutableBytes(unit_);
}

void FrameReader::release() {
  if (!delivered_ && (length_size_ > 0 || !unit_.empty())) return;
  Bytes().swap(unit_);
  delivered_ = false;
  length_size_ = 0;
}

}  // namespace hg::noise
