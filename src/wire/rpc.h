// dht-rpc datagrams (npm dht-rpc 6.27): one request or one response per UDP datagram.
//
//   request   03 flags tid to [id] [token] command [target] [value]
//   response  13 flags tid to [id] [token] [closer nodes] [error] [value]
//
// `to` is the receiver as the sender sees it (how the receiver looks from outside). A value of zero
// length is not the same as no value. Plain data, no state; decoders return nullopt on any fault.
#pragma once

#include <optional>

#include "wire/compact.h"

namespace hg::wire {

constexpr uint8_t kRpcRequest = 0x03;
constexpr uint8_t kRpcResponse = 0x13;

/// Commands of the internal namespace (dht-rpc lib/commands).
enum InternalCommand : uint64_t { kPing = 0, kPingNat = 1, kFindNode = 2, kDownHint = 3, kDelayedPing = 4 };

/// Errors of the RPC layer (dht-rpc lib/errors).
enum RpcError : uint64_t { kRpcOk = 0, kUnknownCommand = 1, kInvalidToken = 2 };

struct RpcRequest {
  uint16_t tid = 0;
  Endpoint to;
  std::optional<Hash32> id;
  std::optional<Hash32> token;
  bool internal = false;
  uint64_t command = 0;
  std::optional<Hash32> target;
  std::optional<Bytes> value;
};

struct RpcResponse {
  uint16_t tid = 0;
  Endpoint to;
  std::optional<Hash32> id;
  std::optional<Hash32> token;
  std::vector<Endpoint> closer_nodes;
  uint64_t error = 0;
  std::optional<Bytes> value;
};

Bytes encode(const RpcRequest& request);
Bytes encode(const RpcResponse& response);

/// True for a datagram whose first byte is that of a dht-rpc message.
inline bool is_rpc(ByteView datagram) { return datagram.size() >= 2 && (datagram[0] == kRpcRequest || datagram[0] == kRpcResponse); }
/// The whole datagram, type byte included.
std::optional<RpcRequest> decode_rpc_request(ByteView datagram);
std::optional<RpcResponse> decode_rpc_response(ByteView datagram);

}  // namespace hg::wire
