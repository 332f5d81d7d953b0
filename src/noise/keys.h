// What is derived from a finished handshake, and the namespaces that separate the uses of one key
// (hyperdht 6.34 lib/constants, @hyperswarm/secret-stream 6.9). Pure functions, any thread.
#pragma once

#include "base/ids.h"
#include "crypto/crypto.h"

namespace hg::noise {

/// Everything an encrypted connection needs once the handshake is over. Secret: never logged.
struct SessionKeys {
  bool is_initiator = false;
  ByteArray<32> tx{};
  ByteArray<32> rx{};
  Hash64 handshake_hash{};
  PublicKey remote_key{};
  PublicKey local_key{};
};

/// BLAKE2b(BLAKE2b("hyperswarm/dht") ‖ command): the namespace of a hyperdht command.
Hash32 dht_namespace(uint8_t command);

enum class StreamNamespace : uint8_t { kInitiator = 0, kResponder = 1, kSend = 2 };
Hash32 stream_namespace(StreamNamespace which);

/// The 32 bytes that name one side of an encrypted stream; `of_initiator`: the sender's role.
Hash32 stream_id(const Hash64& handshake_hash, bool of_initiator);
/// The key of hole-punch payloads that belong to a handshake.
Hash32 holepunch_secret(const Hash64& handshake_hash);
/// The key of unordered messages sent by the side named.
Hash32 unordered_key(const Hash64& handshake_hash, bool of_initiator);

}  // namespace hg::noise
