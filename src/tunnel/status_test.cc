#include "tunnel/status.h"

#include <gtest/gtest.h>

#include "support/tunnel_members.h"

namespace hg::tunnel {
namespace {

using namespace test;

TEST(Status, QuestionAndAnswerAreAdvertisementsThatChangeNothing) {
  std::vector<Override> overrides;
  for (size_t i = 0; i < kMaxStatusOverrides + 3; ++i)
    overrides.push_back({"192.0.2." + std::to_string(i), 1700000000000 + static_cast<int64_t>(i)});
  for (const std::string& text : {encode_status_question(), encode_status(overrides)}) {
    const auto advertisement = decode_advertisement(text);
    ASSERT_TRUE(advertisement);
    EXPECT_TRUE(advertisement->routes.empty());
  }
  EXPECT_TRUE(parse_status(encode_status_question())->asks);
  const auto told = parse_status(encode_status(overrides));
  ASSERT_TRUE(told);
  EXPECT_FALSE(told->asks);
  EXPECT_EQ(3u, told->more);
  overrides.resize(kMaxStatusOverrides);
  EXPECT_EQ(overrides, told->overrides);
}

TEST(Status, OtherMessagesAndBrokenOnesAreNone) {
  for (const char* text : {"", "{}", R"({"routes":[]})", R"({"hg":5,"routes":[]})", R"({"hg":{)", R"({"routes":[],"hg":{"ask":"status"}})"})
    EXPECT_FALSE(parse_status(text)) << text;
  const auto odd =
      parse_status(R"({"hg":{"ask":7,"more":-1,"unlimited":[{"ip":5},{"ip":"x"},7,{"ip":"192.0.2.1","expireAt":1}]},"routes":[]})");
  ASSERT_TRUE(odd);
  EXPECT_FALSE(odd->asks);
  EXPECT_EQ(0u, odd->more);
  EXPECT_EQ((std::vector<Override>{{"192.0.2.1", 1}}), odd->overrides);
}

class StatusTest : public MembersTest {};

TEST_F(StatusTest, AGatewayTellsItsOverridesToWhoAsks) {
  Member gateway(host_, true, false);
  Member onlooker(host_, true, false);
  connect(gateway, 1, onlooker, 2);
  ASSERT_TRUE(wait([&] { return onlooker.ready == 1 && gateway.ready == 1; }));
  ASSERT_TRUE(gateway.node->gateway()->admissions().set_override("192.0.2.7", host_.wall_ms() + 30'000));
  run(1s);
  EXPECT_TRUE(onlooker.node->peers().at(0).status.overrides.empty());
  onlooker.node->ask_status(key(1));
  ASSERT_TRUE(wait([&] { return !onlooker.node->peers().at(0).status.overrides.empty(); }));
  EXPECT_EQ("192.0.2.7", onlooker.node->peers().at(0).status.overrides.at(0).client);
  run(31s);
  onlooker.node->ask_status(key(1));
  ASSERT_TRUE(wait([&] { return onlooker.node->peers().at(0).status.overrides.empty(); }));
}

}  // namespace
}  // namespace hg::tunnel
