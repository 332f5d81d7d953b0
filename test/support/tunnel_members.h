// For tests: members of a router joined by pipes in virtual time, with fake sockets on both sides.
#pragma once

#include <gtest/gtest.h>

#include <map>

#include "crypto/crypto.h"
#include "sim/world.h"
#include "support/tunnel_pipe.h"
#include "tunnel/node.h"

namespace hg::tunnel::test {

inline const RouterKeys& router() {
  static const RouterKeys keys = [] {
    crypto::init();
    Seed seed;
    seed.fill(9);
    return derive_router_keys(seed);
  }();
  return keys;
}

inline PublicKey key(uint8_t fill) {
  PublicKey k;
  k.fill(fill);
  return k;
}

/// A local socket: what it got, and a source that pushes as much as the channel takes.
class FakeSocket final : public ChannelHandler {
 public:
  void on_channel_open() override {
    opened = true;
    pump();
  }
  void on_channel_data(ByteView data) override {
    received += data.size();
    if (keep) append_bytes(bytes, data);
    datagrams.push_back(data.size());
    if (reading) channel->consumed(data.size());
  }
  void on_channel_end() override { ended = true; }
  void on_channel_sendable() override {
    ++turns;
    pump_one();
    if (to_send > 0) channel->wait_to_send();
  }
  void on_channel_closed(CloseReason r) override {
    reason = r;
    closed = true;
  }

  void push(size_t count) {
    to_send += count;
    pump();
  }
  void pump() {
    while (to_send > 0 && channel->sendable() > 0) pump_one();
    if (to_send > 0) channel->wait_to_send();
  }
  void pump_one() {
    const size_t n = std::min(to_send, channel->sendable());
    if (n == 0) return;
    const Room room = channel->buffer_room();
    Buffer data = Buffer::with_room(room.headroom, n + room.tailroom);
    for (size_t i = 0; i < n; ++i) data.tail()[i] = static_cast<uint8_t>((sent + i) * 31);
    data.grow(n);
    to_send -= n;
    sent += n;
    channel->send(std::move(data));
  }
  void say(std::string_view text) {
    const Room room = channel->buffer_room();
    Buffer data = Buffer::with_room(room.headroom, text.size() + room.tailroom);
    data.append(as_bytes(text));
    channel->send(std::move(data));
  }
  void take_all() {
    reading = true;
    channel->consumed(channel->unconsumed());
  }
  std::string text() const { return std::string(as_text(bytes)); }

  std::unique_ptr<Channel> channel;
  bool opened = false;
  bool ended = false;
  bool closed = false;
  bool reading = true;
  bool keep = true;
  CloseReason reason{};
  size_t to_send = 0;
  size_t sent = 0;
  size_t received = 0;
  int turns = 0;
  Bytes bytes;
  std::vector<size_t> datagrams;
};

/// A service that answers at once, never, or with an error.
class FakeConnector final : public ServiceConnector {
 public:
  enum class Mode { kAccept, kSilent, kRefuse };

  void connect(ServiceRequest request, std::unique_ptr<Channel> channel) override {
    requests.push_back(request);
    auto socket = std::make_unique<FakeSocket>();
    channel->set_handler(socket.get());
    socket->channel = std::move(channel);
    const auto mode = modes.contains(request.service.gate_port) ? modes[request.service.gate_port] : Mode::kAccept;
    if (mode == Mode::kAccept) socket->channel->accept();
    if (mode == Mode::kRefuse) socket->channel->refuse("ECONNREFUSED");
    sockets.push_back(std::move(socket));
  }
  FakeSocket& last() { return *sockets.back(); }

  std::map<uint16_t, Mode> modes;
  std::vector<ServiceRequest> requests;
  std::vector<std::unique_ptr<FakeSocket>> sockets;
};

struct Member {
  Member(Runtime& runtime, bool gateway, bool provider, Limits limits = {}, const RouterKeys& keys = router()) {
    NodeOptions options;
    options.gateway = gateway;
    options.connector = provider ? &connector : nullptr;
    options.limits = limits;
    NodeCallbacks callbacks;
    callbacks.ban = [this](const PublicKey& peer, const std::string&) { banned.push_back(peer); };
    callbacks.peer_ready = [this](const PublicKey&, bool) { ++ready; };
    callbacks.peer_lost = [this](const PublicKey&, const std::optional<Error>&) { ++lost; };
    callbacks.relay_learned = [this](const PublicKey& peer, const std::optional<PublicKey>& relay) { relays[peer] = relay; };
    node = std::make_unique<Node>(runtime, keys, std::move(options), std::move(callbacks));
  }
  FakeConnector connector;
  std::vector<PublicKey> banned;
  std::map<PublicKey, std::optional<PublicKey>> relays;
  int ready = 0;
  int lost = 0;
  std::unique_ptr<Node> node;
};

inline Service tcp(uint16_t gate, std::string host = "web") { return {gate, std::move(host), 80, Protocol::kTcp, {}, {}}; }
inline Service udp(uint16_t gate) { return {gate, "dns", 53, Protocol::kUdp, {}, {}}; }

/// A peer that speaks frames by hand, as a TypeScript peer or an enemy would.
class RawPeer final : public ByteStreamHandler {
 public:
  RawPeer(Runtime& runtime, Member& other, uint8_t own_key, uint8_t other_key, bool says_gateway, const PipeOptions& options = {}) {
    auto [mine, theirs] = make_pipe(runtime, key(own_key), key(other_key), options);
    pipe = std::move(mine);
    pipe->set_handler(this);
    far = theirs.get();
    other.node->add_connection(std::move(theirs));
    hello =
        to_bytes(make_hello_frame({}, says_gateway, make_auth(router(), key(own_key), key(other_key), runtime.wall_ms() + own_key)).view());
  }
  void say_hello() { raw(hello); }
  void raw(ByteView bytes) { pipe->write(Buffer::copy_of(bytes)); }
  void send(const Buffer& frame) { raw(frame.view()); }
  void advertise(std::vector<Service> services) {
    send(make_frame({}, Action::kAdvRoutes, 0, as_bytes(encode_advertisement(services, {}))));
  }
  size_t count(Action action) const {
    return static_cast<size_t>(
        std::count_if(messages.begin(), messages.end(), [&](const auto& m) { return m.first.action == static_cast<uint8_t>(action); }));
  }
  const Message* last(Action action) const {
    for (auto m = messages.rbegin(); m != messages.rend(); ++m) {
      if (m->first.action == static_cast<uint8_t>(action)) return &m->first;
    }
    return nullptr;
  }

  void on_data(ByteView data) override {
    ASSERT_TRUE(reader.feed(data, [&](ByteView payload) {
      auto copy = std::make_unique<Bytes>(to_bytes(payload));
      auto message = parse_message(*copy);
      EXPECT_TRUE(message);
      if (message) messages.emplace_back(*message, std::move(copy));
      return true;
    }));
  }
  void on_close(const std::optional<Error>&) override { closed = true; }

  std::unique_ptr<PipeEnd> pipe;
  PipeEnd* far = nullptr;
  Bytes hello;
  FrameReader reader;
  std::vector<std::pair<Message, std::unique_ptr<Bytes>>> messages;
  bool closed = false;
};

class MembersTest : public ::testing::Test {
 protected:
  /// Joins two members and returns the first one's end.
  std::pair<PipeEnd*, PipeEnd*> connect(Member& a, uint8_t a_key, Member& b, uint8_t b_key, const PipeOptions& options = {}) {
    auto [first, second] = make_pipe(host_, key(a_key), key(b_key), options);
    const auto ends = std::pair(first.get(), second.get());
    a.node->add_connection(std::move(first));
    b.node->add_connection(std::move(second));
    return ends;
  }
  std::unique_ptr<FakeSocket> open(Member& gateway, uint16_t port, Protocol protocol = Protocol::kTcp, std::string ip = "192.0.2.7") {
    auto socket = std::make_unique<FakeSocket>();
    socket->channel = gateway.node->gateway()->open({{port, protocol}, {ip, ip, 40000}, {"127.0.0.1", "127.0.0.1", port}}, *socket);
    return socket;
  }
  /// A service of `provider` and a client of `gateway` that has opened it.
  std::unique_ptr<FakeSocket> opened(Member& gateway, Member& provider, const Service& service, const PipeOptions& options = {}) {
    provider.node->provider()->set_services({service});
    connect(gateway, 1, provider, 2, options);
    EXPECT_TRUE(wait([&] { return gateway.node->gateway()->routes().size() == 1; }));
    auto client = open(gateway, service.gate_port, service.protocol);
    EXPECT_TRUE(wait([&] { return client->opened; }));
    return client;
  }
  void run(Duration span) { world_.run_for(span); }
  bool wait(const std::function<bool()>& done, Duration limit = 30s) { return world_.run_until(done, limit); }

  sim::World world_{1};
  sim::Host& host_ = world_.add_host("10.0.0.1");
};

}  // namespace hg::tunnel::test
