// A member with both roles against a peer that knows the secret and then says anything: the input is a script of messages, local
// actions and pauses, in virtual time.
#include <cstdlib>

#include "crypto/crypto.h"
#include "sim/world.h"
#include "support/tunnel_pipe.h"
#include "tunnel/node.h"

namespace {

using namespace hg;
using namespace hg::tunnel;

/// A local socket that takes or leaves what comes, and sends what it is told to.
struct Socket final : ChannelHandler {
  void on_channel_data(ByteView data) override {
    if (reading) channel->consumed(data.size());
  }
  void on_channel_end() override {}
  void on_channel_sendable() override { send(1000); }
  void on_channel_closed(CloseReason) override {
    if (channel->state() != Channel::State::kClosed) std::abort();
    closed = true;
  }
  void send(size_t bytes) {
    if (channel->state() != Channel::State::kOpen) return;
    const size_t n = std::min(bytes, channel->sendable());
    if (n == 0) return channel->wait_to_send();
    const Room room = channel->buffer_room();
    Buffer data = Buffer::with_room(room.headroom, n + room.tailroom);
    std::memset(data.tail().data(), 0, n);
    data.grow(n);
    channel->send(std::move(data));
  }
  std::unique_ptr<Channel> channel;
  bool reading = true;
  bool closed = false;
};

struct Connector final : ServiceConnector {
  void connect(ServiceRequest request, std::unique_ptr<Channel> channel) override {
    auto socket = std::make_unique<Socket>();
    channel->set_handler(socket.get());
    socket->channel = std::move(channel);
    if (request.service.gate_port != 81) socket->channel->accept();
    sockets.push_back(std::move(socket));
  }
  std::vector<std::unique_ptr<Socket>> sockets;
};

struct Far final : ByteStreamHandler {
  void on_data(ByteView data) override {
    if (!reader.feed(data, [](ByteView payload) {
          if (!parse_message(payload)) std::abort();
          return true;
        }))
      std::abort();
  }
  void on_close(const std::optional<Error>&) override {}
  FrameReader reader;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  crypto::init();
  sim::World world(1);
  sim::Host& host = world.add_host("10.0.0.1");
  RouterKeys router;  // the derivation is not what is tested
  router.auth_key.fill(3);
  PublicKey own, other;
  own.fill(1);
  other.fill(2);

  Connector connector;
  NodeOptions options;
  options.gateway = true;
  options.connector = &connector;
  options.limits.max_buffer_per_channel = 20000;
  options.limits.max_buffer_per_peer = 50000;
  options.limits.initial_window = 8000;
  options.limits.min_window = 2000;
  auto node = std::make_unique<Node>(host, router, options);
  node->provider()->set_services(
      {{80, "a", 1, Protocol::kTcp, {}, {}}, {81, "a", 1, Protocol::kTcp, {}, {}}, {53, "a", 1, Protocol::kUdp, {}, {}}});

  Far far;
  auto [mine, theirs] = make_pipe(host, own, other, {.high_water = 20000});
  theirs->set_handler(&far);
  node->add_connection(std::move(mine));
  theirs->write(make_hello_frame({}, true, make_auth(router, other, own, host.wall_ms())));
  theirs->write(make_frame(
      {}, Action::kAdvRoutes, 0,
      as_bytes(encode_advertisement(std::vector<Service>{{90, "b", 1, Protocol::kTcp, {}, {}}, {91, "b", 1, Protocol::kUdp, {}, {}}},
                                    {.flow = true, .big_datagrams = true}))));
  world.run_for(10ms);

  std::vector<std::unique_ptr<Socket>> clients;
  const auto pick = [](auto& list, uint8_t which) -> Socket* { return list.empty() ? nullptr : list[which % list.size()].get(); };
  for (size_t at = 0; at + 2 < size;) {
    const uint8_t op = data[at];
    const uint8_t a = data[at + 1];
    const uint8_t b = data[at + 2];
    at += 3;
    const size_t length = std::min<size_t>(b, size - at);
    const ByteView body(data + at, length);
    Socket* socket = pick(a & 1 ? clients : connector.sockets, b);
    switch (op % 10) {
      case 0:
      case 1:
        theirs->write(make_frame({}, static_cast<Action>(op / 10 % 8), a & 0x80 ? 0x80000000u + (a & 15) : a & 15, body));
        at += length;
        break;
      case 2:
        theirs->write(make_open_frame({}, a & 15, 80 + (b & 1), Protocol::kTcp, a & 16 ? R"({"hg":{"flow":5000}})" : ""));
        break;
      case 3:
        theirs->write(make_frame({}, Action::kStream, a, Bytes(b * 64u)));
        break;
      case 4: {
        auto client = std::make_unique<Socket>();
        const GateKey gate = a & 1 ? GateKey{91, Protocol::kUdp} : GateKey{90, Protocol::kTcp};
        if (clients.size() < 32) {
          client->channel = node->gateway()->open({gate, {"1.2.3.4", "1.2.3.4", 5}, {}}, *client);
          clients.push_back(std::move(client));
        }
        break;
      }
      case 5:
        if (socket != nullptr) socket->send(b * 100u);
        break;
      case 6:
        if (socket != nullptr) socket->reading = !socket->reading;
        if (socket != nullptr && socket->reading) socket->channel->consumed(socket->channel->unconsumed());
        break;
      case 7:
        if (socket != nullptr) op & 16 ? socket->channel->close() : socket->channel->end();
        break;
      case 8:
        world.run_for(std::chrono::milliseconds(b * 4));
        break;
      case 9:
        if (socket != nullptr && socket->channel->protocol() == Protocol::kUdp) socket->channel->send_datagram(Bytes(b * 256u));
        break;
    }
    if (a % 4 == 0) world.run_for(2ms);
  }
  world.run_for(100ms);
  bool done = false;
  node->shutdown(1s, [&] { done = true; });
  if (!world.run_until([&] { return done; }, 10s)) std::abort();
  if (node->counters().channels_open != 0) std::abort();
  node.reset();
  return 0;
}
