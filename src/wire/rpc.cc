#include "wire/rpc.h"

namespace hg::wire {
namespace {

constexpr uint8_t kId = 0x01;
constexpr uint8_t kToken = 0x02;
constexpr uint8_t kValue = 0x10;
// requests
constexpr uint8_t kInternal = 0x04;
constexpr uint8_t kTarget = 0x08;
// responses
constexpr uint8_t kCloserNodes = 0x04;
constexpr uint8_t kError = 0x08;

template <class Message>
void encode_head(Encoder& e, uint8_t type, uint8_t flags, const Message& m) {
  e.uint8(type);
  e.uint8(flags);
  e.uint16(m.tid);
  e.endpoint(m.to);
  if (m.id) e.raw(*m.id);
  if (m.token) e.raw(*m.token);
}

template <class Message>
uint64_t decode_head(Decoder& d, uint8_t type, Message& m) {
  if (d.uint8() != type) d.fail();
  const uint64_t flags = d.uint();
  m.tid = d.uint16();
  m.to = d.endpoint();
  if (flags & kId) m.id = d.fixed<32>();
  if (flags & kToken) m.token = d.fixed<32>();
  return flags;
}

}  // namespace

Bytes encode(const RpcRequest& m) {
  Encoder e;
  const auto flags = static_cast<uint8_t>((m.id ? kId : 0) | (m.token ? kToken : 0) | (m.internal ? kInternal : 0) |
                                          (m.target ? kTarget : 0) | (m.value ? kValue : 0));
  encode_head(e, kRpcRequest, flags, m);
  e.uint(m.command);
  if (m.target) e.raw(*m.target);
  if (m.value) e.buffer(*m.value);
  return e.take();
}

Bytes encode(const RpcResponse& m) {
  Encoder e;
  const auto flags = static_cast<uint8_t>((m.id ? kId : 0) | (m.token ? kToken : 0) | (m.closer_nodes.empty() ? 0 : kCloserNodes) |
                                          (m.error != 0 ? kError : 0) | (m.value ? kValue : 0));
  encode_head(e, kRpcResponse, flags, m);
  if (!m.closer_nodes.empty()) e.endpoints(m.closer_nodes);
  if (m.error != 0) e.uint(m.error);
  if (m.value) e.buffer(*m.value);
  return e.take();
}

std::optional<RpcRequest> decode_rpc_request(ByteView datagram) {
  Decoder d(datagram);
  RpcRequest m;
  const uint64_t flags = decode_head(d, kRpcRequest, m);
  m.internal = (flags & kInternal) != 0;
  m.command = d.uint();
  if (flags & kTarget) m.target = d.fixed<32>();
  if (flags & kValue) m.value = to_bytes(d.buffer());
  if (!d.ok()) return std::nullopt;
  return m;
}

std::optional<RpcResponse> decode_rpc_response(ByteView datagram) {
  Decoder d(datagram);
  RpcResponse m;
  const uint64_t flags = decode_head(d, kRpcResponse, m);
  if (flags & kCloserNodes) m.closer_nodes = d.endpoints();
  if (flags & kError) m.error = d.uint();
  if (flags & kValue) m.value = to_bytes(d.buffer());
  if (!d.ok()) return std::nullopt;
  return m;
}

}  // namespace hg::wire
