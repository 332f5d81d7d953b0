// One process with DHT nodes of ours on 127.0.0.1, told what to do line by line.
//
//   dht_peer network COUNT            a private network; the first node is the bootstrap node
//   dht_peer user HOST:PORT [persistent]   one node on an existing network
//
// Prints `ready PORT` (server port of the first node), then answers each input line with one line
// `ok …` or `error CODE`. Ends when its input does. Bytes are hexadecimal.
#include <algorithm>
#include <iostream>
#include <set>
#include <sstream>
#include <thread>

#include "crypto/crypto.h"
#include "dht/node.h"
#include "dht/operations.h"
#include "dht/storage.h"
#include "io/loop.h"

namespace {

using namespace hg;

constexpr uint32_t kLoopback = 0x7f000001;

class Peer {
 public:
  explicit Peer(io::Loop& loop) : loop_(loop) {}

  void add_node(std::vector<std::string> bootstrap, bool persistent, std::function<void()> ready) {
    dht::NodeOptions options;
    if (bootstrap.empty()) options.host = kLoopback;
    options.bootstrap = std::move(bootstrap);
    options.bind_host = kLoopback;
    options.port = 0;
    options.ephemeral = persistent ? dht::NodeOptions::Ephemeral::kNever : dht::NodeOptions::Ephemeral::kAdaptive;
    options.firewalled = !persistent;
    nodes_.push_back(std::make_unique<dht::Node>(loop_, options));
    if (const auto started = nodes_.back()->start(); !started) {
      std::cout << "error " << started.error().code << std::endl;
      return loop_.stop();
    }
    nodes_.back()->on_ready(std::move(ready));
  }
  void grow_network(size_t count) {
    if (nodes_.size() == count) return say_ready();
    std::vector<std::string> bootstrap;
    if (!nodes_.empty()) bootstrap.push_back("127.0.0.1:" + std::to_string(nodes_[0]->server_port()));
    add_node(std::move(bootstrap), true, [this, count] { grow_network(count); });
  }
  void say_ready() { std::cout << "ready " << nodes_[0]->server_port() << std::endl; }

  void run(const std::string& line) {
    std::istringstream in(line);
    std::string verb;
    in >> verb;
    if (verb == "info") return info();
    if (verb == "announce") return announce(in);
    if (verb == "lookup") return lookup(in);
    if (verb == "unannounce") return unannounce(in);
    if (verb == "find_peer") return find_peer(in);
    if (verb == "immutable_put") return immutable_put(in);
    if (verb == "immutable_get") return immutable_get(in);
    if (verb == "mutable_put") return mutable_put(in);
    if (verb == "mutable_get") return mutable_get(in);
    if (verb == "ping") return ping(in);
    if (verb == "knows") return knows(in);
    std::cout << "error UNKNOWN_COMMAND" << std::endl;
  }

 private:
  dht::Node& node() { return *nodes_.back(); }

  static std::string word(std::istringstream& in) {
    std::string text;
    in >> text;
    return text;
  }
  static Bytes bytes(std::istringstream& in) {
    const std::string text = word(in);
    Bytes out(text.size() / 2);
    if (!from_hex(text, out)) out.clear();
    return out;
  }
  template <size_t N>
  static ByteArray<N> fixed(std::istringstream& in) {
    ByteArray<N> out{};
    if (!from_hex(word(in), out)) std::cerr << "bad hex" << std::endl;
    return out;
  }
  template <class T>
  static bool failed(const Expected<T>& result) {
    if (!result) std::cout << "error " << result.error().code << std::endl;
    return !result;
  }
  static void answer(const std::string& text = "") { std::cout << "ok" << (text.empty() ? "" : " ") << text << std::endl; }

  void info() {
    const auto remote = node().remote_address();
    answer(std::to_string(node().table_size()) + " " + (node().ephemeral() ? "ephemeral" : "persistent") + " " +
           (node().firewalled() ? "firewalled" : "open") + " " + (remote ? remote->to_string() : "unknown"));
  }
  void announce(std::istringstream& in) {
    const auto topic = fixed<32>(in);
    const KeyPair keys = crypto::key_pair_from_seed(fixed<32>(in));
    dht::AnnounceOptions options;
    options.clear = word(in) == "clear";
    query_ = dht::announce(node(), topic, keys, {{kLoopback, 7777}}, options, {}, [](Expected<dht::QueryResult> result) {
      if (!failed(result)) answer(std::to_string(result->committed));
    });
  }
  void unannounce(std::istringstream& in) {
    const auto topic = fixed<32>(in);
    query_ = dht::unannounce(node(), topic, crypto::key_pair_from_seed(fixed<32>(in)), {}, [](Expected<dht::QueryResult> result) {
      if (!failed(result)) answer();
    });
  }
  void lookup(std::istringstream& in) {
    const auto found = std::make_shared<std::set<std::string>>();
    query_ = dht::lookup(
        node(), fixed<32>(in), {},
        [found](const dht::Response&, const wire::LookupReply& reply) {
          for (const wire::Peer& peer : reply.peers)
            found->insert(to_hex(peer.public_key) + "/" + std::to_string(peer.relay_addresses.size()));
        },
        [found](Expected<dht::QueryResult> result) {
          if (failed(result)) return;
          std::string list;
          for (const std::string& peer : *found) list += (list.empty() ? "" : " ") + peer;
          answer(list);
        });
  }
  void find_peer(std::istringstream& in) {
    const auto key = fixed<32>(in);
    const auto found = std::make_shared<size_t>(0);
    query_ = dht::find_peer(
        node(), dht::hash_target(key), {}, [found, key](const dht::Response&, const wire::Peer& peer) { *found += peer.public_key == key; },
        [found](Expected<dht::QueryResult> result) {
          if (!failed(result)) answer(std::to_string(*found));
        });
  }
  void immutable_put(std::istringstream& in) {
    query_ = dht::immutable_put(node(), bytes(in), {}, [](Expected<Hash32> hash) {
      if (!failed(hash)) answer(to_hex(*hash));
    });
  }
  void immutable_get(std::istringstream& in) {
    query_ = dht::immutable_get(node(), fixed<32>(in), {}, [](Expected<std::optional<Bytes>> value) {
      if (!failed(value)) answer(*value ? to_hex(**value) : "none");
    });
  }
  void mutable_put(std::istringstream& in) {
    const KeyPair keys = crypto::key_pair_from_seed(fixed<32>(in));
    const uint64_t seq = std::stoull(word(in));
    query_ = dht::mutable_put(node(), keys, bytes(in), seq, {}, [](Expected<dht::QueryResult> result) {
      if (!failed(result)) answer(std::to_string(result->committed));
    });
  }
  void mutable_get(std::istringstream& in) {
    query_ = dht::mutable_get(node(), fixed<32>(in), 0, true, {}, [](Expected<std::optional<dht::MutableValue>> value) {
      if (!failed(value)) answer(*value ? std::to_string((**value).seq) + " " + to_hex((**value).value) : "none");
    });
  }
  void ping(std::istringstream& in) {
    request_ = node().delayed_ping(
        {kLoopback, static_cast<uint16_t>(std::stoi(word(in)))}, std::chrono::milliseconds(50), [](Expected<dht::Response> response) {
          if (!failed(response))
            answer(response->to.to_string() + " " + std::to_string(to_ms(response->rtt) >= 45));  // its timer may be early
        });
  }
  /// How many of our nodes have 127.0.0.1:PORT in their table.
  void knows(std::istringstream& in) {
    const Endpoint wanted{kLoopback, static_cast<uint16_t>(std::stoi(word(in)))};
    size_t count = 0;
    for (const auto& each : nodes_) {
      const auto known = each->recent_nodes(10000);
      count += std::find(known.begin(), known.end(), wanted) != known.end();
    }
    answer(std::to_string(count));
  }

  io::Loop& loop_;
  std::vector<std::unique_ptr<dht::Node>> nodes_;
  dht::QueryHandle query_;
  dht::RequestHandle request_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 2) {
    std::cerr << "dht_peer network COUNT | user HOST:PORT [persistent]" << std::endl;
    return 2;
  }
  crypto::init();
  io::Loop loop(crypto::system_rng());
  Peer peer(loop);
  if (arguments[0] == "network")
    peer.grow_network(std::stoul(arguments[1]));
  else
    peer.add_node({arguments[1]}, arguments.size() > 2, [&] { peer.say_ready(); });
  std::thread reader([&] {
    for (std::string line; std::getline(std::cin, line);) loop.post_from_thread([&peer, line] { peer.run(line); });
    loop.post_from_thread([&loop] { loop.stop(); });
  });
  loop.run();
  reader.join();
  return 0;
}
