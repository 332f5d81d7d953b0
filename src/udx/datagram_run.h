// Datagrams to one place that leave in one call (GSO): equally long ones, the last may be shorter. They are copied; what the Sender cuts
// goes by SendBatch instead.
#pragma once

#include <algorithm>

#include "base/udp_socket.h"

namespace hg::udx {

class DatagramRun {
 public:
  static constexpr size_t kMaxBytes = 60 * 1024;  // of one send; memory follows what is in it
  static constexpr size_t kMaxDatagrams = 64;     // the kernel's UDP_MAX_SEGMENTS

  bool empty() const { return bytes_.empty(); }
  size_t bytes() const { return bytes_.size(); }
  size_t datagrams() const { return empty() ? 0 : (bytes_.size() + segment_ - 1) / segment_; }

  /// Whether a datagram of `size` bytes can join; else the run is to be sent first.
  bool fits(size_t size) const {
    return empty() || (!closed_ && size <= segment_ && bytes_.size() + size <= kMaxBytes && datagrams() < kMaxDatagrams);
  }
  /// The bytes of one more that fits (size > 0), to be written at once.
  MutableBytes add(size_t size) {
    if (empty()) segment_ = size;
    closed_ = size < segment_;
    bytes_.resize(bytes_.size() + size);
    return MutableBytes(bytes_).last(size);
  }

  /// Empties the run. False: what left last was not taken.
  bool send(UdpSocket& socket, const Endpoint& to) {
    const ByteView all(bytes_);
    const size_t most = std::max<size_t>(1, std::min(socket.max_segments(), socket.max_segment_bytes() / segment_)) * segment_;
    bool sent = false;
    for (size_t at = 0; at < all.size(); at += most) {
      const ByteView part = all.subspan(at, std::min(most, all.size() - at));
      sent = socket.send_segments(to, {&part, 1}, segment_) == SendResult::kSent;
    }
    bytes_.clear();
    return sent;
  }
  void clear() { bytes_.clear(); }
  /// Gives the memory of an empty run back.
  void release() {
    if (empty()) Bytes().swap(bytes_);
  }

 private:
  Bytes bytes_;
  size_t segment_ = 0;
  bool closed_ = false;
};

}  // namespace hg::udx
