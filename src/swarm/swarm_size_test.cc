// Many members in one topic.
#include <gtest/gtest.h>

#include "support/swarm_member.h"

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

}  // namespace
}  // namespace hg::swarm
