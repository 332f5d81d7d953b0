// The C++ end of the peer interop cases.
//
//   peer_interop node    [bootstrap=LIST] [port=N]              a persistent DHT node that relays
//   peer_interop listen  bootstrap=LIST seed=HEX [work=…]       hyperdht server
//   peer_interop connect bootstrap=LIST key=HEX [work=…]        hyperdht client
//   peer_interop swarm   bootstrap=LIST topic=HEX [seed=HEX] [ban=HEX] [work=…]
//   peer_interop relay   bootstrap=LIST seed=HEX [member=HEX]   blind relay; with member=, for pairs of that key only
//   peer_interop stream  initiator=0|1 tx=HEX rx=HEX hash=HEX [work=…]   one encrypted stream on a bare UDX stream
//
// through=HEX offers a relay (listen, connect); through=client or through=server leaves that to the other side. relaying=never|first
// (connect) as peer::Relaying.
//
// work=echo returns what arrives; work=N sends N bytes of a pattern and checks their echo; work=none. Events are JSON
// lines on stdout. Commands on stdin: "connect PORT ID" (stream), "say" (one byte), "end", "destroy", "stats" (relay), "close" (polite
// exit); end of input closes too.
#include <signal.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read_until.hpp>
#include <cstdio>
#include <map>
#include <sstream>

#include "base/log.h"
#include "crypto/crypto.h"
#include "dht/node.h"
#include "io/loop.h"
#include "noise/secure_connection.h"
#include "peer/host.h"
#include "swarm/swarm.h"

namespace hg {
namespace {

void say(const std::string& json) {
  std::printf("%s\n", json.c_str());
  std::fflush(stdout);
}
std::string field(const std::string& name, const std::string& value) { return fmt::format("\"{}\":\"{}\"", name, value); }

using Arguments = std::map<std::string, std::string>;

template <size_t N>
ByteArray<N> hex(const Arguments& args, const std::string& name) {
  ByteArray<N> out{};
  const auto found = args.find(name);
  if (found == args.end() || !from_hex(found->second, out)) {
    std::fprintf(stderr, "missing or malformed %s\n", name.c_str());
    std::exit(2);
  }
  return out;
}

/// What happens on one connection.
class Worker final : public ByteStreamHandler {
 public:
  Worker(std::unique_ptr<noise::Connection> connection, const std::string& work, bool client)
      : connection_(std::move(connection)), echo_(work == "echo") {
    key_ = to_hex(connection_->remote_key());
    if (!echo_ && work != "none") left_ = size_ = std::stoull(work);
    say(fmt::format("{{\"event\":\"connection\",{},\"initiator\":{},\"client\":{},\"relayed\":{}}}", field("key", key_),
                    connection_->is_initiator(), client, connection_->stats().relayed));
    connection_->set_handler(this);
    if (size_ > 0) pump();
  }
  bool closed() const { return !connection_; }
  noise::Connection* connection() { return connection_.get(); }

 private:
  static uint8_t pattern(size_t at) { return static_cast<uint8_t>(at * 131 + (at >> 8)); }

  void pump() {
    while (left_ > 0) {
      const size_t n = std::min<size_t>(left_, 60000);
      Buffer out = Buffer::with_room(connection_->write_headroom(), n + connection_->write_tailroom());
      for (size_t i = 0; i < n; ++i) out.tail()[i] = pattern(size_ - left_ + i);
      out.grow(n);
      left_ -= n;
      if (!connection_->write(std::move(out))) return;
    }
  }
  void on_data(ByteView data) override {
    if (echo_) {
      connection_->write(Buffer::copy_of(data, connection_->write_headroom()));
      return;
    }
    if (size_ == 0) {
      received_ += data.size();
      return say(fmt::format("{{\"event\":\"data\",{},\"bytes\":{}}}", field("key", key_), received_));
    }
    for (const uint8_t byte : data) intact_ = intact_ && byte == pattern(received_++);
    if (received_ >= size_)
      say(fmt::format("{{\"event\":\"echoed\",{},\"bytes\":{},\"intact\":{}}}", field("key", key_), received_,
                      intact_ && received_ == size_));
  }
  void on_drain() override { pump(); }
  void on_end() override { say(fmt::format("{{\"event\":\"end\",{}}}", field("key", key_))); }
  void on_close(const std::optional<Error>& error) override {
    say(fmt::format("{{\"event\":\"closed\",{},{}}}", field("key", key_), field("error", error ? error->code : "")));
    connection_.reset();
  }

  std::unique_ptr<noise::Connection> connection_;
  bool echo_;
  std::string key_;
  size_t size_ = 0;
  size_t left_ = 0;
  size_t received_ = 0;
  bool intact_ = true;
};

class Program {
 public:
  Program(io::Loop& loop, Arguments args) : loop_(loop), args_(std::move(args)), input_(loop.context(), ::dup(STDIN_FILENO)), mux_(loop) {
    work_ = get("work", "echo");
    read_command();
  }
  ~Program() {
    attempt_.reset();
    discovery_.reset();
    workers_.clear();
    swarm_.reset();
    server_.reset();
    relay_.reset();
    host_.reset();
    node_.reset();
  }

  int run(const std::string& mode) {
    if (mode == "stream") {
      open_stream();
    } else {
      open_node(mode == "node");
      if (mode == "node") announce_node();
      if (mode == "listen") listen();
      if (mode == "connect") connect();
      if (mode == "relay") serve_relay();
      if (mode == "swarm") join();
    }
    loop_.run();
    return 0;
  }

 private:
  std::string get(const std::string& name, const std::string& otherwise) const {
    const auto found = args_.find(name);
    return found == args_.end() ? otherwise : found->second;
  }

  void open_node(bool persistent) {
    dht::NodeOptions options;
    options.bind_host = Endpoint::loopback(0).address;
    options.port = static_cast<uint16_t>(std::stoul(get("port", "0")));
    options.quick_firewall = !args_.contains("through");  // a loopback node that knows it is open connects directly
    options.bootstrap.clear();
    std::stringstream list(get("bootstrap", ""));
    for (std::string entry; std::getline(list, entry, ',');) options.bootstrap.push_back(entry);
    if (persistent) {
      options.ephemeral = dht::NodeOptions::Ephemeral::kNever;
      options.firewalled = false;
      options.host = options.bind_host;
    }
    node_ = std::make_unique<dht::Node>(loop_, options);
    if (const auto started = node_->start(); !started) {
      std::fprintf(stderr, "%s\n", started.error().message.c_str());
      std::exit(2);
    }
    host_ = std::make_unique<peer::Host>(loop_, *node_, mux_);
  }
  void announce_node() {
    node_->on_ready([this] { say(fmt::format("{{\"event\":\"ready\",\"port\":{}}}", node_->server_port())); });
  }

  KeyPair key_pair() {
    if (args_.contains("seed")) return crypto::key_pair_from_seed(hex<32>(args_, "seed"));
    return crypto::random_key_pair(loop_.rng());
  }

  void listen() {
    const KeyPair keys = key_pair();
    peer::ListenOptions options;
    options.on_connection = [this](std::unique_ptr<noise::SecureConnection> c) { take(std::move(c), false); };
    if (args_.contains("through")) {
      options.share_local_addresses = false;
      if (get("through", "") != "client") options.relay_through = [relay = hex<32>(args_, "through")](const PublicKey&) { return relay; };
    }
    auto server = host_->listen(keys, std::move(options));
    server_ = std::move(*server);
    server_->on_listening([key = keys.public_key] { say(fmt::format("{{\"event\":\"listening\",{}}}", field("key", to_hex(key)))); });
  }
  void connect() {
    peer::ConnectOptions options;
    options.key_pair = key_pair();
    if (args_.contains("through")) {
      options.local_connection = false;
      if (get("through", "") != "server") options.relay_through = hex<32>(args_, "through");
    }
    if (get("relaying", "") == "first") options.relaying = peer::Relaying::kFirst;
    if (get("relaying", "") == "never") options.relaying = peer::Relaying::kNever;
    attempt_ = host_->connect(hex<32>(args_, "key"), std::move(options), [this](auto result) {
      if (result) return take(std::move(*result), true);
      say(fmt::format("{{\"event\":\"failed\",{},{}}}", field("error", result.error().code), field("message", result.error().message)));
    });
  }
  void serve_relay() {
    peer::BlindRelayOptions options;
    options.key_pair = key_pair();
    const auto member = args_.contains("member") ? std::optional(hex<32>(args_, "member")) : std::nullopt;
    options.admit = [member](const PublicKey& key) { return !member || key == *member; };
    auto served = host_->serve_relay(std::move(options));
    relay_ = std::move(*served);
    relay_->on_listening([this] { say(fmt::format("{{\"event\":\"listening\",{}}}", field("key", to_hex(relay_->public_key())))); });
  }
  void say_stats() {
    const peer::BlindRelayCounters& c = relay_->counters();
    say(fmt::format("{{\"event\":\"stats\",\"pairs\":{},\"open\":{},\"bytes\":{},\"refused\":{}}}", c.pairs, relay_->open_pairs(),
                    c.traffic.bytes, c.refused));
  }
  void join() {
    swarm::SwarmOptions options;
    options.key_pair = key_pair();
    swarm_ = std::make_unique<swarm::Swarm>(loop_, *host_, std::move(options));
    swarm_->set_on_connection([this](std::unique_ptr<noise::Connection> c, const swarm::PeerInfo& info) {
      swarm_->confirm(info.key);
      take(std::move(c), info.client);
    });
    if (args_.contains("ban")) swarm_->ban(hex<32>(args_, "ban"));
    watch_duplicates();
    discovery_ = swarm_->join(hex<32>(args_, "topic"));
    discovery_->flushed([this] { say(fmt::format("{{\"event\":\"flushed\",{}}}", field("key", to_hex(swarm_->public_key())))); });
  }

  void watch_duplicates() {
    if (swarm_->stats().duplicates > 0) return say("{\"event\":\"duplicate\"}");
    watch_.arm(loop_.now() + 5ms);
  }

  void open_stream() {
    socket_ = std::move(*loop_.network().open_udp(Endpoint::loopback(0)));
    socket_->set_receiver(&receiver_);
    stream_ = mux_.create_stream();
    stream_->pause_reading();
    stream_->set_firewall([](UdpSocket&, const Endpoint&) { return true; });
    say(fmt::format("{{\"event\":\"socket\",\"port\":{},\"id\":{}}}", socket_->local_endpoint().port, stream_->id()));
  }
  void start_stream(uint16_t port, uint32_t id) {
    noise::SessionKeys keys;
    keys.is_initiator = get("initiator", "0") == "1";
    keys.tx = hex<32>(args_, "tx");
    keys.rx = hex<32>(args_, "rx");
    keys.handshake_hash = hex<64>(args_, "hash");
    stream_->connect(*socket_, Endpoint::loopback(port), id);
    take(std::make_unique<noise::SecureConnection>(loop_, std::move(stream_), keys), keys.is_initiator);
  }

  void take(std::unique_ptr<noise::Connection> connection, bool client) {
    std::erase_if(workers_, [](const auto& w) { return w->closed(); });
    workers_.push_back(std::make_unique<Worker>(std::move(connection), work_, client));
  }

  void read_command() {
    boost::asio::async_read_until(input_, boost::asio::dynamic_buffer(line_), '\n',
                                  [this](const boost::system::error_code& error, size_t n) {
                                    if (error) return close();
                                    std::stringstream words(line_.substr(0, n));
                                    line_.erase(0, n);
                                    std::string command;
                                    words >> command;
                                    if (command == "connect") {
                                      uint16_t port = 0;
                                      uint32_t id = 0;
                                      words >> port >> id;
                                      start_stream(port, id);
                                    } else if (command == "end" || command == "destroy") {
                                      for (const auto& worker : workers_)
                                        if (!worker->closed())
                                          command == "end" ? worker->connection()->end() : worker->connection()->destroy();
                                    } else if (command == "stats") {
                                      say_stats();
                                    } else if (command == "say") {
                                      for (const auto& worker : workers_)
                                        if (!worker->closed()) worker->connection()->write(Buffer::copy_of(Bytes(1)));
                                    } else if (command == "close") {
                                      return close();
                                    }
                                    read_command();
                                  });
  }
  void close() {
    const auto bye = [this] {
      say("{\"event\":\"bye\"}");
      loop_.stop();
    };
    discovery_.reset();
    if (swarm_) return swarm_->close(bye);
    if (server_) return server_->close(bye);
    if (relay_) return relay_->close(bye);
    loop_.post(bye);
  }

  struct Receiver final : UdpReceiver {
    explicit Receiver(udx::Mux& m) : mux(m) {}
    void on_datagram(UdpSocket& socket, const Endpoint& from, ByteView data) override { mux.on_datagram(socket, from, data); }
    void on_drained(UdpSocket&) override { mux.on_drained(); }
    udx::Mux& mux;
  };

  io::Loop& loop_;
  Arguments args_;
  std::string work_;
  boost::asio::posix::stream_descriptor input_;
  std::string line_;
  udx::Mux mux_;
  Receiver receiver_{mux_};
  std::unique_ptr<UdpSocket> socket_;
  std::unique_ptr<udx::Stream> stream_;
  std::unique_ptr<dht::Node> node_;
  std::unique_ptr<peer::Host> host_;
  std::unique_ptr<peer::Server> server_;
  std::unique_ptr<peer::BlindRelayServer> relay_;
  std::unique_ptr<peer::Attempt> attempt_;
  std::unique_ptr<swarm::Swarm> swarm_;
  std::unique_ptr<swarm::Discovery> discovery_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Timer watch_{loop_.timers(), [this] { watch_duplicates(); }};
};

}  // namespace
}  // namespace hg

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  hg::crypto::init();
  hg::Arguments args;
  for (int i = 2; i < argc; ++i) {
    const std::string text = argv[i];
    const size_t equals = text.find('=');
    if (equals == std::string::npos) return 2;
    args[text.substr(0, equals)] = text.substr(equals + 1);
  }
  if (args.contains("log"))
    hg::log::install(hg::log::Level::kDebug, [](hg::log::Level, std::string_view component, const std::string& message) {
      std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(component.size()), component.data(), message.c_str());
    });
  hg::io::Loop loop(hg::crypto::system_rng());
  hg::Program program(loop, std::move(args));
  return program.run(argv[1]);
}
