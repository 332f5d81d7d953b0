#include "dht/signing.h"

#include "crypto/crypto.h"

namespace hg::dht {
namespace {

Signable join(wire::Command command, const Hash32& body) {
  const Hash32 ns = command_namespace(command);
  Signable out;
  std::memcpy(out.data(), ns.data(), ns.size());
  std::memcpy(out.data() + ns.size(), body.data(), body.size());
  return out;
}

}  // namespace

Hash32 command_namespace(wire::Command command) {
  const Hash32 root = crypto::blake2b_256({as_bytes("hyperswarm/dht")});
  const auto number = static_cast<uint8_t>(command);
  return crypto::blake2b_256({root, ByteView(&number, 1)});
}

Signable announce_signable(wire::Command command, const Hash32& target, const Hash32& node_id, const Hash32& token, const wire::Peer& peer,
                           const std::optional<Hash32>& refresh) {
  const Bytes record = wire::encode(peer);
  return join(command, crypto::blake2b_256({target, node_id, token, record, refresh ? ByteView(*refresh) : ByteView()}));
}

Signable mutable_signable(uint64_t seq, ByteView value) {
  const Bytes body = wire::encode(wire::MutableSignable{seq, to_bytes(value)});
  return join(wire::kMutablePut, crypto::blake2b_256({body}));
}

Bytes signed_announce(wire::Command command, const KeyPair& keys, const Hash32& target, const Hash32& node_id, const Hash32& token,
                      std::vector<Endpoint> relay_addresses, uint64_t bump) {
  wire::Announce message;
  message.peer = wire::Peer{keys.public_key, std::move(relay_addresses)};
  message.signature =
      crypto::sign_detached(announce_signable(command, target, node_id, token, *message.peer, std::nullopt), keys.secret_key);
  message.bump = bump;
  return wire::encode(message);
}

Hash32 node_id(const Endpoint& address) { return crypto::blake2b_256({wire::encode_endpoint(address)}); }
Hash32 hash_target(ByteView bytes) { return crypto::blake2b_256({bytes}); }

}  // namespace hg::dht
