// A persistent node with outstanding queries against a hostile network: the input is a script of datagrams,
// each to the server or the client socket from one of a few addresses, with time passing in between. Datagrams
// may claim the tid of what the node sent last, so that answers are taken.
#include "crypto/crypto.h"
#include "dht/node.h"
#include "dht/operations.h"
#include "dht/storage.h"
#include "script.h"
#include "sim/world.h"

namespace {

using namespace hg;

struct Peer : UdpReceiver {
  explicit Peer(sim::Host& host) : socket(*host.open_udp({0, 1000})) { socket->set_receiver(this); }
  void on_datagram(UdpSocket&, const Endpoint&, ByteView data) override {
    if (data.size() >= 4) {
      tid[0] = data[2];
      tid[1] = data[3];
    }
  }
  void on_drained(UdpSocket&) override {}
  std::unique_ptr<UdpSocket> socket;
  uint8_t tid[2] = {0, 0};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  crypto::init();
  Script script{{data, size}};
  sim::World world(1);
  sim::Host& host = world.add_host("8.0.0.1");
  std::vector<std::unique_ptr<Peer>> peers;
  std::vector<Endpoint> known;
  for (int i = 1; i <= 3; ++i) {
    peers.push_back(std::make_unique<Peer>(world.add_host("8.0.1." + std::to_string(i))));
    known.push_back(peers.back()->socket->local_endpoint());
  }
  dht::NodeOptions options;
  options.bootstrap = {known[0].to_string()};
  options.ephemeral = dht::NodeOptions::Ephemeral::kNever;
  options.firewalled = false;
  options.host = host.address();
  options.max_records = 64;
  dht::Node node(host, options);
  if (!node.start()) return 0;
  const KeyPair keys = crypto::key_pair_from_seed(Seed{1});
  const auto announcing =
      dht::announce(node, Topic{1}, keys, {}, {.query = {.nodes = known}, .clear = true}, {}, [](Expected<dht::QueryResult>) {});
  const auto reading =
      dht::mutable_get(node, keys.public_key, 0, true, {.nodes = known}, [](Expected<std::optional<dht::MutableValue>>) {});
  world.run_for(10ms);

  while (!script.rest.empty()) {
    const uint8_t how = script.byte();
    Peer& peer = *peers[how % 3];
    Bytes datagram = to_bytes(script.take(script.byte()));
    if ((how & 0x08) && datagram.size() >= 4) {
      datagram[2] = peer.tid[0];
      datagram[3] = peer.tid[1];
    }
    UdpSocket& to = (how & 0x10) ? node.client_socket() : node.server_socket();
    peer.socket->send({host.address(), to.local_endpoint().port}, datagram);
    world.run_for(how & 0x20 ? 5s : 3ms);
  }
  world.run_for(10s);
  return 0;
}
