#include "wire/compact.h"

namespace hg::wire {

void Encoder::little_endian(uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) bytes_.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

void Encoder::uint(uint64_t value) {
  if (value <= 0xfc) return uint8(static_cast<uint8_t>(value));
  const size_t bytes = uint_size(value) - 1;
  uint8(bytes == 2 ? 0xfd : bytes == 4 ? 0xfe : 0xff);
  little_endian(value, bytes);
}

void Encoder::raw(ByteView value) { append_bytes(bytes_, value); }

void Encoder::buffer(ByteView value) {
  uint(value.size());
  raw(value);
}

void Encoder::endpoint(const Endpoint& value) {
  for (int shift = 24; shift >= 0; shift -= 8) uint8(static_cast<uint8_t>(value.address >> shift));
  uint16(value.port);
}

void Encoder::endpoint6(const Endpoint6& value) {
  raw(value.address);
  uint16(value.port);
}

void Encoder::endpoints(std::span<const Endpoint> values) {
  uint(values.size());
  for (const Endpoint& value : values) endpoint(value);
}

void Encoder::endpoints6(std::span<const Endpoint6> values) {
  uint(values.size());
  for (const Endpoint6& value : values) endpoint6(value);
}

ByteView Decoder::take(size_t n) {
  if (n > input_.size()) {
    fail();
    return {};
  }
  const ByteView out = input_.first(n);
  input_ = input_.subspan(n);
  return out;
}

uint64_t Decoder::little_endian(size_t bytes) {
  const ByteView in = take(bytes);
  uint64_t value = 0;
  for (size_t i = in.size(); i-- > 0;) value = value << 8 | in[i];
  return value;
}

uint64_t Decoder::uint() {
  const uint8_t first = uint8();
  if (first <= 0xfc) return first;
  const uint64_t value = little_endian(first == 0xfd ? 2 : first == 0xfe ? 4 : 8);
  if (value <= kMaxUint) return value;
  fail();
  return 0;
}

ByteView Decoder::buffer() {
  const uint64_t size = uint();
  if (size <= input_.size()) return take(static_cast<size_t>(size));
  fail();
  return {};
}

std::optional<ByteView> Decoder::optional_buffer() {
  const ByteView value = buffer();
  if (value.empty()) return std::nullopt;
  return value;
}

Endpoint Decoder::endpoint() {
  uint32_t address = 0;
  for (int i = 0; i < 4; ++i) address = address << 8 | uint8();
  const uint16_t port = uint16();
  return ok_ ? Endpoint{address, port} : Endpoint{};
}

Endpoint6 Decoder::endpoint6() {
  Endpoint6 out;
  out.address = fixed<16>();
  out.port = uint16();
  return out;
}

size_t Decoder::count(size_t min_element_bytes) {
  const uint64_t n = uint();
  if (n <= kMaxArray && n * min_element_bytes <= input_.size()) return static_cast<size_t>(n);
  fail();
  return 0;
}

std::vector<Endpoint> Decoder::endpoints() {
  const size_t n = count(kEndpointBytes);
  std::vector<Endpoint> out;
  out.reserve(n);
  for (size_t i = 0; i < n; ++i) out.push_back(endpoint());
  return out;
}

std::vector<Endpoint6> Decoder::endpoints6() {
  const size_t n = count(kEndpoint6Bytes);
  std::vector<Endpoint6> out;
  out.reserve(n);
  for (size_t i = 0; i < n; ++i) out.push_back(endpoint6());
  return out;
}

}  // namespace hg::wire
