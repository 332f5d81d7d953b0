// hyperdht's values (npm hyperdht 6.34 lib/messages, lib/constants): what travels inside dht-rpc
// requests and responses of the external commands, and inside Noise and hole-punch payloads.
//
// Plain structs; encode() gives the reference's bytes, decode_x() nullopt on any fault. Unknown trailing
// bytes are ignored. Sizes are bounded by the datagram that carried the bytes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "wire/compact.h"

namespace hg::wire {

/// External commands.
enum Command : uint64_t {
  kPeerHandshake = 0,
  kPeerHolepunch = 1,
  kFindPeer = 2,
  kLookup = 3,
  kAnnounce = 4,
  kUnannounce = 5,
  kMutablePut = 6,
  kMutableGet = 7,
  kImmutablePut = 8,
  kImmutableGet = 9,
  kPlugin = 10,
};

enum Firewall : uint64_t { kFirewallUnknown = 0, kFirewallOpen = 1, kFirewallConsistent = 2, kFirewallRandom = 3 };

/// Errors inside payloads and in responses to puts.
enum DhtError : uint64_t {
  kErrorNone = 0,
  kErrorAborted = 1,
  kErrorVersionMismatch = 2,
  kErrorTryLater = 3,
  kErrorSeqReused = 16,
  kErrorSeqTooLow = 17
};

/// Who sent a handshake or hole-punch message, and through how many relays (lib/router).
enum RouteMode : uint64_t { kFromClient = 0, kFromServer = 1, kFromRelay = 2, kFromSecondRelay = 3, kReply = 4 };

/// PEER_HANDSHAKE's value, in requests and responses.
struct Handshake {
  uint64_t mode = kFromClient;
  Bytes noise;
  std::optional<Endpoint> peer_address;
  std::optional<Endpoint> relay_address;
  bool operator==(const Handshake&) const = default;
};

/// PEER_HOLEPUNCH's value, in requests and responses.
struct Holepunch {
  uint64_t mode = kFromClient;
  uint64_t id = 0;
  Bytes payload;
  std::optional<Endpoint> peer_address;
  bool operator==(const Holepunch&) const = default;
};

struct RelayInfo {
  Endpoint relay_address;
  Endpoint peer_address;
  bool operator==(const RelayInfo&) const = default;
};
struct HolepunchInfo {
  uint64_t id = 0;
  std::vector<RelayInfo> relays;
  bool operator==(const HolepunchInfo&) const = default;
};
struct UdxInfo {
  uint64_t version = 1;
  bool reusable_socket = false;
  uint64_t id = 0;
  uint64_t seq = 0;
  bool operator==(const UdxInfo&) const = default;
};
struct SecretStreamInfo {
  uint64_t version = 1;
  bool operator==(const SecretStreamInfo&) const = default;
};
struct RelayThrough {
  uint64_t version = 1;
  PublicKey public_key{};
  ByteArray<32> token{};
  bool operator==(const RelayThrough&) const = default;
};

/// Between two peers of ours only: this handshake is to bring a path for an older connection. Behind all of the reference's fields.
struct MoveInfo {
  Hash32 session{};                           // which connection
  uint64_t udx_id = 0;                        // the sender's stream of it
  std::optional<ByteArray<32>> pair_token{};  // of a pair for that stream, should the path be a relay's; the answer repeats it
  bool operator==(const MoveInfo&) const = default;
};

/// The payload of both Noise messages. With version ≠ 1 a decoder reports the version and nothing else.
struct NoisePayload {
  uint64_t version = 1;
  uint64_t error = 0;
  uint64_t firewall = 0;
  std::optional<HolepunchInfo> holepunch;
  std::vector<Endpoint> addresses4;
  std::vector<Endpoint6> addresses6;
  std::optional<UdxInfo> udx;
  std::optional<SecretStreamInfo> secret_stream;
  std::optional<RelayThrough> relay_through;
  std::optional<std::vector<Endpoint>> relay_addresses;
  std::optional<MoveInfo> move;
  bool operator==(const NoisePayload&) const = default;
};

/// The plaintext of the secure hole-punch payload.
struct HolepunchPayload {
  uint64_t error = 0;
  uint64_t firewall = 0;
  uint64_t round = 0;
  bool connected = false;
  bool punching = false;
  std::optional<std::vector<Endpoint>> addresses;
  std::optional<Endpoint> remote_address;
  std::optional<Hash32> token;
  std::optional<Hash32> remote_token;
  bool operator==(const HolepunchPayload&) const = default;
};

/// A peer record: FIND_PEER's reply value, an element of LOOKUP's.
struct Peer {
  PublicKey public_key{};
  std::vector<Endpoint> relay_addresses;
  bool operator==(const Peer&) const = default;
};

struct LookupReply {
  std::vector<Peer> peers;
  uint64_t bump = 0;  // Unix milliseconds; 0: none
  bool operator==(const LookupReply&) const = default;
};

/// ANNOUNCE's and UNANNOUNCE's value.
struct Announce {
  std::optional<Peer> peer;
  std::optional<Hash32> refresh;
  std::optional<ByteArray<64>> signature;
  uint64_t bump = 0;  // Unix milliseconds; 0: none
  bool operator==(const Announce&) const = default;
};

/// What a mutable record's signature covers (its hash).
struct MutableSignable {
  uint64_t seq = 0;
  Bytes value;
  bool operator==(const MutableSignable&) const = default;
};
struct MutablePut {
  PublicKey public_key{};
  uint64_t seq = 0;
  Bytes value;
  ByteArray<64> signature{};
  bool operator==(const MutablePut&) const = default;
};
/// MUTABLE_GET's reply value. (Its request value is one uint: the lowest seq wanted.)
struct MutableRecord {
  uint64_t seq = 0;
  Bytes value;
  ByteArray<64> signature{};
  bool operator==(const MutableRecord&) const = default;
};

struct PluginRequest {
  std::string plugin;
  uint64_t version = 0;
  uint64_t command = 0;
  std::optional<Bytes> value;
  bool operator==(const PluginRequest&) const = default;
};

Bytes encode(const Handshake& m);
Bytes encode(const Holepunch& m);
Bytes encode(const NoisePayload& m);
Bytes encode(const HolepunchPayload& m);
Bytes encode(const Peer& m);
Bytes encode(const LookupReply& m);
Bytes encode(const Announce& m);
Bytes encode(const MutableSignable& m);
Bytes encode(const MutablePut& m);
Bytes encode(const MutableRecord& m);
Bytes encode(const PluginRequest& m);
/// A lookup reply from peer records that are already encoded, as storage nodes keep them.
Bytes encode_lookup_reply(std::span<const Bytes> peers, uint64_t bump);
/// One bare uint, MUTABLE_GET's request value.
Bytes encode_uint(uint64_t value);
/// One bare IPv4 address, DOWN_HINT's value and the input of a node id.
ByteArray<kEndpointBytes> encode_endpoint(const Endpoint& value);

std::optional<Handshake> decode_handshake(ByteView in);
std::optional<Holepunch> decode_holepunch(ByteView in);
std::optional<NoisePayload> decode_noise_payload(ByteView in);
std::optional<HolepunchPayload> decode_holepunch_payload(ByteView in);
std::optional<Peer> decode_peer(ByteView in);
std::optional<LookupReply> decode_lookup_reply(ByteView in);
std::optional<Announce> decode_announce(ByteView in);
std::optional<MutableSignable> decode_mutable_signable(ByteView in);
std::optional<MutablePut> decode_mutable_put(ByteView in);
std::optional<MutableRecord> decode_mutable_record(ByteView in);
std::optional<PluginRequest> decode_plugin_request(ByteView in);
std::optional<uint64_t> decode_uint(ByteView in);

}  // namespace hg::wire
