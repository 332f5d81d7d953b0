// Swarms that find each other over a private network of our own nodes, in virtual time.
#include "swarm/swarm.h"

#include <gtest/gtest.h>

#include <map>

#include "sim/peer_network.h"

namespace hg::swarm {
namespace {

using sim::Collector;
using sim::NatKind;
using sim::Peer;
using sim::PeerNetwork;

KeyPair key(uint8_t n) { return crypto::key_pair_from_seed(Seed{n}); }
Topic topic(uint8_t n) { return crypto::blake2b_256({ByteView(&n, 1)}); }

/// A process that joins topics and keeps its connections.
struct Member {
  Member(Peer& p, const KeyPair& keys, SwarmOptions options = {}) : peer(p) {
    options.key_pair = keys;
    swarm = std::make_unique<Swarm>(p.runtime, *p.host, std::move(options));
    swarm->set_on_connection([this](std::unique_ptr<noise::Connection> c, const PeerInfo& info) {
      handed_out++;
      infos.push_back(info);
      auto& slot = links[info.key];
      EXPECT_TRUE(!slot || slot->closed) << "a second connection to one key";
      if (slot) past.push_back(std::move(slot));
      slot = std::make_unique<Collector>(std::move(c));
      slot->send(Bytes{1, 2, 3});
    });
  }
  ~Member() {
    discoveries.clear();
    links.clear();
    past.clear();
    swarm.reset();
  }
  void join(const Topic& t, JoinOptions options = {}) { discoveries.push_back(swarm->join(t, options)); }
  size_t open() const {
    size_t n = 0;
    for (const auto& [k, link] : links) n += link && !link->closed;
    return n;
  }
  Collector* link(const KeyPair& other) {
    const auto found = links.find(other.public_key);
    return found == links.end() || found->second->closed ? nullptr : found->second.get();
  }
  bool talks_to(const KeyPair& other) {
    Collector* c = link(other);
    return c != nullptr && c->received.size() >= 3;
  }

  Peer& peer;
  std::unique_ptr<Swarm> swarm;
  std::vector<std::unique_ptr<Discovery>> discoveries;
  std::map<PublicKey, std::unique_ptr<Collector>> links;
  std::vector<std::unique_ptr<Collector>> past;
  std::vector<PeerInfo> infos;
  int handed_out = 0;
};

class Swarms : public ::testing::Test {
 protected:
  Member& add(Peer& peer, const KeyPair& keys, SwarmOptions options = {}) {
    members_.push_back(std::make_unique<Member>(peer, keys, std::move(options)));
    return *members_.back();
  }
  bool until(const std::function<bool()>& done, Duration limit = 60s) {
    const TimePoint start = net_.world.now();
    const bool ok = net_.world.run_until(done, limit);
    took_ = net_.world.now() - start;
    return ok;
  }
  void TearDown() override {
    members_.clear();
    net_.world.run_for(1s);
  }

  PeerNetwork net_;
  std::vector<std::unique_ptr<Member>> members_;
  Duration took_{};
};

TEST_F(Swarms, TwoFindEachOther) {
  Member& a = add(net_.add_open(), key(1));
  Member& b = add(net_.add_open(), key(2));
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  net_.world.run_for(5s);
  b.join(topic(1));
  ASSERT_TRUE(until([&] { return a.talks_to(key(2)) && b.talks_to(key(1)); }));
  EXPECT_LT(took_, 3s);
  net_.world.run_for(60s);
  EXPECT_EQ(a.open(), 1u);
  EXPECT_EQ(b.open(), 1u);
}

}  // namespace
}  // namespace hg::swarm
