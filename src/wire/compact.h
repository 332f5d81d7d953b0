// compact-encoding (npm compact-encoding 3.5): the primitives of every dht-rpc, hyperdht and protomux message.
//
//   Encoder e;  e.uint(7);  e.buffer(bytes);  send(e.view());
//   Decoder d(datagram);  uint64_t n = d.uint();  ByteView b = d.buffer();  if (!d.ok()) drop;
//
// Numbers are little-endian. Encoders emit the shortest uint; decoders accept longer forms. A decoder
// never throws and never reads past its view: the first fault sticks, later reads return zeroes and
// empty views. Views returned by a decoder point into its input. Trailing bytes are the caller's to
// ignore (that is the protocol's forward compatibility). Owned by whoever encodes; no threads.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/endpoint.h"
#include "base/ids.h"

namespace hg::wire {

/// Largest integer a JavaScript number holds exactly; compact-encoding refuses more.
constexpr uint64_t kMaxUint = (uint64_t{1} << 53) - 1;
/// compact-encoding 3.5 `array`: more elements are an error.
constexpr uint64_t kMaxArray = 0x100000;
/// Encoded size of an IPv4 address and port.
constexpr size_t kEndpointBytes = 6;
constexpr size_t kEndpoint6Bytes = 18;

struct Endpoint6 {
  ByteArray<16> address{};
  uint16_t port = 0;
  bool operator==(const Endpoint6&) const = default;
};

/// Size of `value` in the shortest form, 1, 3, 5 or 9 bytes.
constexpr size_t uint_size(uint64_t value) { return value <= 0xfc ? 1 : value <= 0xffff ? 3 : value <= 0xffffffff ? 5 : 9; }

class Encoder {
 public:
  void uint(uint64_t value);
  void uint8(uint8_t value) { bytes_.push_back(value); }
  void uint16(uint16_t value) { little_endian(value, 2); }
  void uint24(uint32_t value) { little_endian(value, 3); }
  void uint32(uint32_t value) { little_endian(value, 4); }
  void uint64(uint64_t value) { little_endian(value, 8); }
  void boolean(bool value) { uint8(value ? 1 : 0); }
  void buffer(ByteView value);
  void string(std::string_view value) { buffer(as_bytes(value)); }
  /// Fixed-size fields and `raw`: no length in front.
  void raw(ByteView value);
  void endpoint(const Endpoint& value);
  void endpoint6(const Endpoint6& value);
  void endpoints(std::span<const Endpoint> values);
  void endpoints6(std::span<const Endpoint6> values);

  ByteView view() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  Bytes take() { return std::move(bytes_); }

 private:
  void little_endian(uint64_t value, size_t bytes);
  Bytes bytes_;
};

class Decoder {
 public:
  explicit Decoder(ByteView input) : input_(input) {}

  bool ok() const { return ok_; }
  size_t remaining() const { return input_.size(); }
  void fail() {
    ok_ = false;
    input_ = {};
  }

  uint64_t uint();
  uint8_t uint8() { return static_cast<uint8_t>(little_endian(1)); }
  uint16_t uint16() { return static_cast<uint16_t>(little_endian(2)); }
  uint32_t uint24() { return static_cast<uint32_t>(little_endian(3)); }
  uint32_t uint32() { return static_cast<uint32_t>(little_endian(4)); }
  uint64_t uint64() { return little_endian(8); }
  bool boolean() { return uint8() == 1; }
  ByteView buffer();
  /// A buffer whose zero length means "absent".
  std::optional<ByteView> optional_buffer();
  std::string_view string() { return as_text(buffer()); }
  template <size_t N>
  ByteArray<N> fixed() {
    ByteArray<N> out{};
    const ByteView bytes = take(N);
    if (bytes.size() == N) std::memcpy(out.data(), bytes.data(), N);
    return out;
  }
  /// The next `n` bytes; a fault when fewer remain.
  ByteView take(size_t n);
  /// Everything that is left.
  ByteView rest() { return take(input_.size()); }
  Endpoint endpoint();
  Endpoint6 endpoint6();
  std::vector<Endpoint> endpoints();
  std::vector<Endpoint6> endpoints6();
  /// An array's element count; a fault when it is over kMaxArray or cannot fit what remains at `min_element_bytes` each.
  size_t count(size_t min_element_bytes);

 private:
  uint64_t little_endian(size_t bytes);
  ByteView input_;
  bool ok_ = true;
};

}  // namespace hg::wire
