// Collects packets into runs for UdpSocket::send_segments(): equally long datagrams to one place, the last may be shorter.
// Headers are written into one array per run, payload is referenced. One per Mux, used within one call. One thread.
#pragma once

#include <array>
#include <vector>

#include "base/udp_socket.h"
#include "udx/seq.h"
#include "wire/udx_packet.h"

namespace hg::udx {

class SendBatch {
 public:
  static constexpr size_t kMaxSegments = 64;  // the kernel's UDP_MAX_SEGMENTS
  static constexpr size_t kMaxSlices = 160;   // a packet may add a few more; io takes 192

  struct Item {
    Seq seq = 0;
    uint32_t payload = 0;  // bytes
  };

  /// Starts a run towards `to`.
  void begin(UdpSocket& socket, const Endpoint& to) {
    socket_ = &socket;
    to_ = to;
    items_ = 0;
    bytes_ = segment_ = 0;
    closed_ = false;
    slices_.clear();
    max_segments_ = std::min(socket.max_segments(), kMaxSegments);
    max_bytes_ = socket.max_segment_bytes();
  }
  bool empty() const { return items_ == 0; }
  size_t size() const { return items_; }
  const Item& operator[](size_t index) const { return item_[index]; }

  /// Whether a datagram of `datagram` bytes can join the run.
  bool fits(size_t datagram) const {
    if (items_ == 0) return true;
    return !closed_ && items_ < max_segments_ && datagram <= segment_ && bytes_ + datagram <= max_bytes_ && slices_.size() < kMaxSlices;
  }
  /// Adds a packet; the payload's slices are then appended to slices().
  void add(const wire::UdxHeader& header, Seq seq, size_t payload) {
    static constexpr std::array<uint8_t, wire::kUdxMaxDataOffset> kPadding{};
    uint8_t* out = headers_.data() + items_ * wire::kUdxHeaderSize;
    wire::encode_udx_header(header, out);
    item_[items_++] = {seq, static_cast<uint32_t>(payload)};
    const size_t datagram = wire::kUdxHeaderSize + header.data_offset + payload;
    if (segment_ == 0)
      segment_ = datagram;
    else
      closed_ = datagram < segment_;
    bytes_ += datagram;
    slices_.emplace_back(out, wire::kUdxHeaderSize);
    if (header.data_offset > 0) slices_.emplace_back(kPadding.data(), header.data_offset);
  }
  std::vector<ByteView>& slices() { return slices_; }
  size_t segment() const { return segment_; }

  SendResult submit() { return socket_->send_segments(to_, slices_, segment_); }

 private:
  UdpSocket* socket_ = nullptr;
  Endpoint to_{};
  std::array<uint8_t, kMaxSegments * wire::kUdxHeaderSize> headers_{};
  std::array<Item, kMaxSegments> item_{};
  std::vector<ByteView> slices_;
  size_t items_ = 0;
  size_t bytes_ = 0;
  size_t segment_ = 0;
  size_t max_segments_ = 1;
  size_t max_bytes_ = 0;
  bool closed_ = false;
};

}  // namespace hg::udx
