// A listening host that also relays, against hostile handshake and punch messages. The input is a script: each step
// names a command, a mode, addresses and a payload, some of them sealed under keys the server accepts, so that
// what lies behind the encryption is reached too; time passes in between. Afterwards everything must be cleaned up.
#include <cstdlib>

#include "crypto/crypto.h"
#include "noise/handshake.h"
#include "peer/secure_payload.h"
#include "script.h"
#include "sim/peer_network.h"

namespace {

using namespace hg;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  crypto::init();
  Script script{{data, std::min<size_t>(size, 4096)}};
  sim::PeerNetwork net(1, 4);
  sim::Peer& server_peer = script.byte() & 1 ? net.add_behind_nat(sim::NatKind::kConsistent) : net.add_open();
  sim::Peer& client = net.add_open();
  if (!net.settle()) std::abort();
  static const KeyPair server_keys = crypto::key_pair_from_seed(Seed{1});
  static const KeyPair client_keys = crypto::key_pair_from_seed(Seed{2});
  auto server = server_peer.host->listen(server_keys, {});
  net.world.run_for(3s);
  const Hash32 target = dht::hash_target(server_keys.public_key);
  const auto relays = (*server)->relay_addresses();
  std::vector<Endpoint> places = relays;
  places.push_back(server_peer.node.socket().local_endpoint());
  Hash32 secret{};

  while (!script.rest.empty()) {
    const uint8_t op = script.byte();
    const Endpoint place = places[op % places.size()];
    std::optional<Endpoint> peer, relay;
    if (script.byte() & 1) peer = client.node.socket().local_endpoint();
    if (script.byte() & 1) relay = places[0];
    const uint64_t mode = script.byte() % 6;
    dht::Command command;
    command.target = target;
    if (op & 0x40) {
      command.command = wire::kPeerHandshake;
      auto handshake = noise::IkHandshake::initiator(client_keys, server_keys.public_key, noise::dht_namespace(0), client.runtime.rng());
      Bytes plain = script.take(script.byte());
      if (op & 0x20) {
        wire::NoisePayload payload;
        payload.firewall = script.byte();
        payload.udx = wire::UdxInfo{.id = script.byte()};
        payload.addresses4.push_back({0x0a000001, script.byte()});
        plain = wire::encode(payload);
      }
      auto message = handshake.write_message(plain);
      command.value = wire::encode(wire::Handshake{mode, op & 0x10 ? script.take(script.byte()) : *message, peer, relay});
      dht::RequestOptions options;
      options.retries = 0;
      client.node
          .request(
              place, std::move(command),
              [&secret, handshake](Expected<dht::Response> response) mutable {
                const auto reply = response && response->value ? wire::decode_handshake(*response->value) : std::nullopt;
                if (reply && handshake.read_message(reply->noise)) secret = noise::holepunch_secret(handshake.session()->handshake_hash);
              },
              std::move(options))
          .detach();
    } else {
      command.command = wire::kPeerHolepunch;
      peer::SecurePayload sealer(secret, client.runtime.rng());
      wire::HolepunchPayload payload;
      payload.firewall = script.byte();
      payload.round = script.byte();
      payload.punching = script.byte() & 1;
      payload.error = script.byte() % 16 == 0 ? 1 : 0;
      payload.addresses = std::vector<Endpoint>(script.byte() % 8, client.node.socket().local_endpoint());
      const Bytes sealed = op & 0x20 ? script.take(script.byte()) : sealer.seal(payload);
      command.value = wire::encode(wire::Holepunch{mode, script.byte() % 4u, sealed, peer});
      dht::RequestOptions options;
      options.retries = 0;
      client.node
          .request(
              place, std::move(command), [](Expected<dht::Response>) {}, std::move(options))
          .detach();
    }
    net.world.run_for(std::chrono::milliseconds(script.byte()));
  }
  net.world.run_for(150s);
  if (server_peer.mux.stream_count() != 0) std::abort();
  server->reset();
  return 0;
}
