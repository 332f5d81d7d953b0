#include "noise/keys.h"

namespace hg::noise {
namespace {

Hash32 namespaced(std::string_view name, uint8_t index) {
  return crypto::blake2b_256({crypto::blake2b_256({as_bytes(name)}), ByteView(&index, 1)});
}

constexpr uint8_t kHolepunchCommand = 1;  // hyperdht PEER_HOLEPUNCH

Hash32 role_namespace(bool initiator) { return stream_namespace(initiator ? StreamNamespace::kInitiator : StreamNamespace::kResponder); }

}  // namespace

Hash32 dht_namespace(uint8_t command) { return namespaced("hyperswarm/dht", command); }

Hash32 stream_namespace(StreamNamespace which) { return namespaced("hyperswarm/secret-stream", static_cast<uint8_t>(which)); }

Hash32 stream_id(const Hash64& handshake_hash, bool of_initiator) {
  return crypto::blake2b_256({role_namespace(of_initiator)}, handshake_hash);
}

Hash32 holepunch_secret(const Hash64& handshake_hash) { return crypto::blake2b_256({dht_namespace(kHolepunchCommand)}, handshake_hash); }

Hash32 unordered_key(const Hash64& handshake_hash, bool of_initiator) {
  return crypto::blake2b_256({role_namespace(of_initiator), stream_namespace(StreamNamespace::kSend)}, handshake_hash);
}

}  // namespace hg::noise
