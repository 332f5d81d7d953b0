// Many members in one topic, and many keys that are none.
#include <gtest/gtest.h>

#include "support/swarm_member.h"
#include "wire/hyperdht.h"

namespace hg::swarm {
namespace {

using sim::PeerNetwork;
using test::key;
using test::Member;
using test::topic;

KeyPair member_key(size_t n) { return crypto::key_pair_from_seed(Seed{7, static_cast<uint8_t>(n)}); }

class ManyMembers : public ::testing::Test {
 protected:
  static constexpr size_t kOthers = 140;  // more than twice what hyperswarm connects to

  /// One member and many others, none of whom look for each other.
  void gather(JoinOptions one, JoinOptions others) {
    members_.push_back(std::make_unique<Member>(net_.add_open(), key(1)));
    for (size_t i = 0; i < kOthers; ++i) members_.push_back(std::make_unique<Member>(net_.add_open(), member_key(i)));
    ASSERT_TRUE(net_.settle());
    for (size_t i = 0; i <= kOthers; ++i) {
      members_[i]->join(topic(1), i == 0 ? one : others);
      net_.world.run_for(100ms);
    }
    EXPECT_TRUE(net_.world.run_until([&] { return members_[0]->open() == kOthers; }, std::chrono::minutes(3))) << members_[0]->open();
  }
  void TearDown() override {
    members_.clear();
    net_.world.run_for(1s);
  }

  PeerNetwork net_;
  std::vector<std::unique_ptr<Member>> members_;
};

constexpr JoinOptions kServer{.server = true, .client = false};
constexpr JoinOptions kClient{.server = false, .client = true};

TEST_F(ManyMembers, AllComeToOne) { gather(kServer, kClient); }

TEST_F(ManyMembers, OneComesToAll) { gather(kClient, kServer); }

/// The nodes of the DHT answer every lookup with keys that nobody has heard of.
class ManyKeys : public ::testing::Test {
 protected:
  static constexpr size_t kRemembered = 4096;
  static constexpr size_t kInReply = 19;

  void SetUp() override {
    for (const auto& peer : net_.peers)
      peer->node.set_command_handler(wire::kLookup, [this](dht::IncomingRequest& request) { answer(request); });
  }
  void answer(const dht::IncomingRequest& request) {
    std::vector<Bytes> records;
    for (size_t i = 0; i < kInReply; ++i) records.push_back(wire::encode(wire::Peer{rng_.array<32>(), {}}));
    if (member_shown_) records.push_back(wire::encode(wire::Peer{key(2).public_key, {}}));
    request.reply(wire::encode_lookup_reply(records, 0));
  }

  PeerNetwork net_;
  SeededRng rng_{11};
  bool member_shown_ = false;
};

TEST_F(ManyKeys, LeaveRoomForAMemberThatComesLater) {
  Member a(net_.add_open(), key(1));
  Member b(net_.add_open(), key(2));
  ASSERT_TRUE(net_.settle());
  a.join(topic(1), kClient);
  b.join(topic(2), kServer);
  while (a.swarm->stats().known_peers < kRemembered) {
    a.discoveries[0]->refresh();
    net_.world.run_for(1s);
  }
  ASSERT_EQ(a.open(), 0u);
  member_shown_ = true;
  a.discoveries[0]->refresh();
  EXPECT_TRUE(net_.world.run_until([&] { return a.talks_to(key(2)); }, std::chrono::minutes(10)));
  EXPECT_EQ(a.swarm->stats().known_peers, kRemembered);
}

}  // namespace
}  // namespace hg::swarm
