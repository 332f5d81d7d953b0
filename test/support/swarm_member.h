// A swarm on the simulated network, and what its process does beside, for tests.
#pragma once

#include <gtest/gtest.h>

#include <map>

#include "peer/blind_relay.h"
#include "sim/peer_network.h"
#include "swarm/swarm.h"

namespace hg::swarm::test {

inline KeyPair key(uint8_t n) { return crypto::key_pair_from_seed(Seed{n}); }
inline Topic topic(uint8_t n) { return crypto::blake2b_256({ByteView(&n, 1)}); }

/// A process that joins topics and keeps its connections.
struct Member {
  Member(sim::Peer& p, const KeyPair& keys, SwarmOptions options = {}) : peer(p) {
    options.key_pair = keys;
    swarm = std::make_unique<Swarm>(p.runtime, *p.host, std::move(options));
    swarm->set_on_connection([this](std::unique_ptr<noise::Connection> c, const PeerInfo& info) {
      handed_out++;
      infos.push_back(info);
      auto& slot = links[info.key];
      EXPECT_TRUE(!slot || slot->closed) << "a second connection to one key";
      if (slot) past.push_back(std::move(slot));
      slot = std::make_unique<sim::Collector>(std::move(c), echo);
      if (!greeting.empty()) slot->send(greeting);
      if (relay) static_cast<noise::SecureConnection&>(*slot->connection).set_relay(relay);
      if (movable) slot->connection->allow_moves();
      if (!confirms || confirms(info.key)) swarm->confirm(info.key);
      if (on_link) on_link(info.key);
    });
  }
  ~Member() {
    discoveries.clear();
    links.clear();
    past.clear();
    swarm.reset();
    blind_relay.reset();
  }
  void join(const Topic& t, JoinOptions options = {}) { discoveries.push_back(swarm->join(t, options)); }
  size_t open() const {
    size_t n = 0;
    for (const auto& [k, link] : links) n += link && !link->closed;
    return n;
  }
  sim::Collector* link(const KeyPair& other) {
    const auto found = links.find(other.public_key);
    return found == links.end() || found->second->closed ? nullptr : found->second.get();
  }
  bool talks_to(const KeyPair& other) {
    sim::Collector* c = link(other);
    return c != nullptr && c->received.size() >= 3;
  }

  bool relayed_to(const KeyPair& other) {
    sim::Collector* c = link(other);
    return c != nullptr && c->connection->stats().relayed;
  }
  /// Relays for whom it is connected to.
  void serve_relay(uint8_t n, size_t max_pairs = 64) {
    peer::BlindRelayOptions options;
    options.max_pairs = max_pairs;
    options.key_pair = key(n);
    options.admit = [this](const PublicKey& who) { return links.contains(who) && !links.at(who)->closed; };
    blind_relay = std::move(*peer.host->serve_relay(std::move(options)));
  }

  sim::Peer& peer;
  std::unique_ptr<peer::BlindRelayServer> blind_relay;
  std::unique_ptr<Swarm> swarm;
  std::vector<std::unique_ptr<Discovery>> discoveries;
  std::map<PublicKey, std::unique_ptr<sim::Collector>> links;
  std::vector<std::unique_ptr<sim::Collector>> past;
  std::vector<PeerInfo> infos;
  int handed_out = 0;
  std::function<void(const PublicKey&)> on_link;
  std::function<bool(const PublicKey&)> confirms;  // unset: whoever comes is one of us
  Bytes greeting{1, 2, 3};
  bool echo = false;
  bool movable = false;            // as if both ends had said so
  std::optional<PublicKey> relay;  // as if the next connections went through it
};

}  // namespace hg::swarm::test
