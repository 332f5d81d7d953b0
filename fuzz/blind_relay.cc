// A blind relay against hostile clients: the input is a script of control connections that come and go, Protomux frames true and
// forged, pair and unpair messages over few tokens, packets for the ids it gave out, and time. At no moment may it hold more
// than its bounds allow; once everybody has gone nothing may be left.
#include <cstdlib>

#include "crypto/crypto.h"
#include "peer/blind_relay_server.h"
#include "script.h"
#include "sim/world.h"
#include "wire/udx_packet.h"

namespace {

using namespace hg;

/// A socket and its streams.
struct End final : UdpReceiver {
  explicit End(sim::Host& h) : host(h), mux(h), socket(std::move(*h.open_udp({}))) { socket->set_receiver(this); }
  ~End() override { socket->set_receiver(nullptr); }
  void on_datagram(UdpSocket& at, const Endpoint& from, ByteView data) override { mux.on_datagram(at, from, data); }
  void on_drained(UdpSocket&) override { mux.on_drained(); }
  Endpoint at() const { return {host.address(), socket->local_endpoint().port}; }

  sim::Host& host;
  udx::Mux mux;
  std::unique_ptr<UdpSocket> socket;
};

struct Client final : ByteStreamHandler {
  explicit Client(sim::Host& h) : end(h) {}
  ~Client() override {
    if (control) control->set_handler(nullptr);
  }
  void on_data(ByteView frame) override {
    wire::MuxHandlers handlers;
    handlers.on_message = [this](const wire::MuxMessage& m) {
      if (const auto pair = wire::decode_pair(m.body)) leg = static_cast<uint32_t>(pair->id);
      return true;
    };
    if (!wire::read_mux_frame(frame, handlers)) std::abort();  // what the relay says is well-formed
  }
  void on_close(const std::optional<Error>&) override { closed = true; }
  void send(const Bytes& frame) {
    if (control && !closed) control->write(Buffer::copy_of(frame));
  }

  End end;
  std::unique_ptr<noise::SecureConnection> control;
  bool closed = false;
  uint32_t leg = 0;
};

/// Both ends of a control connection, with keys as a handshake would leave them.
std::unique_ptr<noise::SecureConnection> join(Client& client, End& relay, uint8_t name) {
  noise::SessionKeys a, b;
  a.is_initiator = true;
  a.tx.fill(1);
  a.rx.fill(2);
  b.tx = a.rx;
  b.rx = a.tx;
  a.local_key = b.remote_key = PublicKey{name};
  auto there = client.end.mux.create_stream();
  auto here = relay.mux.create_stream();
  here->set_firewall([](UdpSocket&, const Endpoint&) { return true; });
  const uint32_t id = here->id();
  here->connect(*relay.socket, client.end.at(), there->id());
  there->connect(*client.end.socket, relay.at(), id);
  client.control = std::make_unique<noise::SecureConnection>(client.end.host, std::move(there), a);
  client.control->set_handler(&client);
  client.closed = false;
  return std::make_unique<noise::SecureConnection>(relay.host, std::move(here), b);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  crypto::init();
  Script script{{data, std::min<size_t>(size, 4096)}};
  sim::World world(1);
  world.set_default_path({.delay = 1ms});
  End relay_end(world.add_host("10.0.0.1"));
  dht::NodeOptions node_options;
  node_options.bootstrap.clear();
  dht::Node node(relay_end.host, node_options);
  peer::Context context(relay_end.host, node, relay_end.mux);
  peer::BlindRelayOptions options;
  options.admit = [](const PublicKey& key) { return key[0] < 3; };
  options.max_pairs = 2;
  options.pair_rate = options.total_rate = 20'000;
  peer::BlindRelayServerImpl relay(context, std::move(options));
  std::vector<std::unique_ptr<Client>> clients;
  for (const char* address : {"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"})
    clients.push_back(std::make_unique<Client>(world.add_host(address)));

  while (!script.rest.empty()) {
    const uint8_t op = script.byte();
    const uint8_t name = op >> 6;
    Client& client = *clients[name];
    const uint8_t value = script.byte();
    switch (op & 7) {
      case 0:
        client.control.reset();
        relay.accept(join(client, relay_end, name));
        break;
      case 1:
        client.send(wire::encode(wire::MuxOpen{1u + (value & 1), "blind-relay", Bytes{name}, {}}));
        break;
      case 2: {
        const Bytes pair = wire::encode(wire::Pair{(value & 1) != 0, {static_cast<uint8_t>(value >> 5)}, value, 0});
        client.send(wire::encode(wire::MuxMessage{1, wire::kRelayPair, pair}));
        break;
      }
      case 3: {
        const Bytes unpair = wire::encode(wire::Unpair{{static_cast<uint8_t>(value >> 5)}});
        client.send(wire::encode(wire::MuxMessage{1, wire::kRelayUnpair, unpair}));
        break;
      }
      case 4:
        client.send(script.take(value % 64));
        break;
      case 5: {
        Bytes packet(wire::kUdxHeaderSize + value % 100);
        wire::encode_udx_header({script.byte(), static_cast<uint8_t>(value & 1), client.leg, 0, 0, 0}, packet.data());
        client.end.socket->send(relay_end.at(), packet, UdpSocket::kDefaultTtl);
        break;
      }
      case 6:
        client.control.reset();
        break;
      default:
        break;
    }
    world.run_for(std::chrono::milliseconds(op & 8 ? 50 : 3) * (op & 16 ? 100 : 1));
    if (relay.open_pairs() > 2 || relay.open_sessions() > peer::BlindRelayServerImpl::kMaxSessions) std::abort();
  }
  for (const auto& client : clients) client->control.reset();
  world.run_for(90s);
  if (relay.open_sessions() != 0 || relay.open_pairs() != 0 || relay_end.mux.stream_count() != 0) std::abort();
  return 0;
}
