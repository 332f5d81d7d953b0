// What hyperdht's signatures cover (npm hyperdht 6.34 lib/persistent): announcements, and mutable records.
//
//   signable = namespace(command) ‖ BLAKE2b-256(target, id of the node written to, its token, peer, refresh)
//   namespace(command) = BLAKE2b-256(BLAKE2b-256("hyperswarm/dht") ‖ command)
//
// Pure functions.
#pragma once

#include "dht/message.h"

namespace hg::dht {

/// hypercore-crypto's namespace for one hyperdht command.
Hash32 command_namespace(wire::Command command);

using Signable = ByteArray<64>;
/// `command` is kAnnounce or kUnannounce.
Signable announce_signable(wire::Command command, const Hash32& target, const Hash32& node_id, const Hash32& token, const wire::Peer& peer,
                           const std::optional<Hash32>& refresh);
Signable mutable_signable(uint64_t seq, ByteView value);

/// The encoded ANNOUNCE or UNANNOUNCE value for one storing node.
Bytes signed_announce(wire::Command command, const KeyPair& keys, const Hash32& target, const Hash32& node_id, const Hash32& token,
                      std::vector<Endpoint> relay_addresses, uint64_t bump);

}  // namespace hg::dht
