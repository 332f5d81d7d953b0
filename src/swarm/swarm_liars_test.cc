// Nodes of the DHT that answer lookups with keys nobody has: the members' own records, which others deliver, are tried all the same.
#include <gtest/gtest.h>

#include "support/swarm_member.h"
#include "wire/hyperdht.h"

namespace hg::swarm {
namespace {

using sim::Peer;
using sim::PeerNetwork;
using test::key;
using test::Member;
using test::topic;

class Liars : public ::testing::Test {
 protected:
  static constexpr size_t kNodes = 6;  // of one host
  static constexpr size_t kInReply = 24;

  /// The nodes of a host whose ids are closest to the topic of all its ports.
  void add_liars(const std::string& address) {
    sim::Host& host = net_.world.add_host(address);
    std::map<Hash32, uint16_t> by_distance;
    for (uint16_t port = 2000; port < 8000; ++port) {
      Hash32 distance = dht::node_id({host.address(), port});
      for (size_t i = 0; i < distance.size(); ++i) distance[i] ^= topic(1)[i];
      by_distance[distance] = port;
    }
    for (const auto& [distance, port] : by_distance) {
      dht::NodeOptions options = sim::DhtNetwork::persistent_options();
      options.port = port;
      net_.hosts.push_back(&host);
      net_.peers.push_back(std::make_unique<Peer>(host, options));
      net_.peers.back()->node.set_command_handler(wire::kLookup, [this](dht::IncomingRequest& request) { lie(request); });
      if (++added_ % kNodes == 0) break;
    }
  }
  void lie(const dht::IncomingRequest& request) {
    std::vector<Bytes> records;
    std::vector<Endpoint> silent;
    for (uint16_t port = 1; port <= 3; ++port) silent.push_back({parse_ipv4("6.6.6.6").value(), port});
    for (size_t i = 0; i < kInReply; ++i) {
      Seed seed{66};
      rng_.fill(seed);
      records.push_back(wire::encode(wire::Peer{crypto::key_pair_from_seed(seed).public_key, silent}));
    }
    request.reply(wire::encode_lookup_reply(records, 0));
  }
  Member& add_member(const KeyPair& keys) {
    members_.push_back(std::make_unique<Member>(net_.add_behind_nat(sim::NatKind::kConsistent), keys));
    return *members_.back();
  }
  void TearDown() override {
    members_.clear();
    net_.world.run_for(1s);
  }

  PeerNetwork net_{1, 20};
  SeededRng rng_{7};
  size_t added_ = 0;
  std::vector<std::unique_ptr<Member>> members_;
};

TEST_F(Liars, OfOneHostDoNotKeepMembersApart) {
  add_liars("6.0.0.1");
  for (uint8_t n = 1; n <= 4; ++n) {
    Member& a = add_member(key(1));
    Member& b = add_member(key(2));
    ASSERT_TRUE(net_.settle());
    a.join(topic(1));
    b.join(topic(1));
    EXPECT_TRUE(net_.world.run_until([&] { return a.talks_to(key(2)); }, 30s));
    EXPECT_GT(a.swarm->stats().known_peers, 500u);
    members_.clear();
    net_.world.run_for(5s);
  }
}

TEST_F(Liars, OfSomeHostsDoNotEither) {
  for (const char* address : {"6.0.0.1", "6.0.0.2", "6.0.0.3"}) add_liars(address);
  Member& a = add_member(key(1));
  Member& b = add_member(key(2));
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  b.join(topic(1));
  EXPECT_TRUE(net_.world.run_until([&] { return a.talks_to(key(2)); }, 60s));
}

TEST_F(Liars, LeaveRoomForMembersThatComeLater) {
  for (const char* address : {"6.0.0.1", "6.0.0.2", "6.0.0.3"}) add_liars(address);
  Member& a = add_member(key(1));
  ASSERT_TRUE(net_.settle());
  a.join(topic(1), {.server = false, .client = true});
  net_.world.run_until(
      [&] {
        a.discoveries[0]->refresh();
        net_.world.run_for(1s);
        return a.swarm->stats().known_peers >= 4096;
      },
      60s);
  EXPECT_EQ(a.swarm->stats().known_peers, 4096u);
  Member& b = add_member(key(2));
  ASSERT_TRUE(net_.settle());
  b.join(topic(1), {.server = true, .client = false});
  net_.world.run_for(2s);
  a.discoveries[0]->refresh();
  EXPECT_TRUE(net_.world.run_until([&] { return a.talks_to(key(2)); }, 60s));
  EXPECT_EQ(a.swarm->stats().known_peers, 4096u);
}

TEST_F(Liars, DoNotKeepOutWhoWasAwayForLong) {
  add_liars("6.0.0.1");
  Member& a = add_member(key(1));
  add_member(key(2));
  ASSERT_TRUE(net_.settle());
  a.join(topic(1));
  members_[1]->join(topic(1), {.server = true, .client = false});
  ASSERT_TRUE(net_.world.run_until([&] { return a.talks_to(key(2)); }, 30s));
  net_.world.run_for(30s);
  Peer& place = members_[1]->peer;
  members_.pop_back();
  net_.world.run_for(std::chrono::minutes(5));
  ASSERT_FALSE(a.talks_to(key(2)));
  members_.push_back(std::make_unique<Member>(place, key(2)));
  members_.back()->join(topic(1), {.server = true, .client = false});
  EXPECT_TRUE(net_.world.run_until([&] { return a.talks_to(key(2)); }, 60s));
}

}  // namespace
}  // namespace hg::swarm
