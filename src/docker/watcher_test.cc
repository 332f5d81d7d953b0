// The picture of the containers: events, refresh, an engine that goes and comes, the network, our own container.
#include "docker/watcher.h"

#include <gtest/gtest.h>

#include "support/docker_engine.h"

namespace hg::docker {
namespace {

using namespace test;

TEST_F(WithEngine, EventsChangeThePicture) {
  add('a', "one");
  watch({"net", false, {}, 1h});
  ASSERT_TRUE(until([&] { return seen_.size() == 1; }));
  add('b', "two");
  fake_.say(event("start", 'b'));
  ASSERT_TRUE(until([&] { return seen_.size() == 2; }));
  EXPECT_EQ(fake_.inspections, 2u);  // what is known is not asked again
  fake_.containers.erase(id_of('a'));
  fake_.say(event("die", 'a'));
  ASSERT_TRUE(until([&] { return seen_.size() == 1; }));
  EXPECT_EQ(seen_[0].name, "two");
}

TEST_F(WithEngine, RefreshFindsWhatNoEventTold) {
  watch({"net", false, {}, 20ms});
  ASSERT_TRUE(until([&] { return look_ups_ == 1; }));
  add('a', "one");
  EXPECT_TRUE(until([&] { return seen_.size() == 1; }));
}

TEST_F(WithEngine, EngineThatRestartsIsFollowedAgain) {
  add('a', "one");
  watch({"net", false, {}, 1h});
  ASSERT_TRUE(until([&] { return seen_.size() == 1; }));
  fake_.shut();
  fake_.containers.clear();
  add('b', "two");
  fake_.open();
  ASSERT_TRUE(until([&] { return seen_.size() == 1 && seen_[0].name == "two"; }));
  ASSERT_TRUE(until([&] { return fake_.has_events(); }));
  fake_.containers.clear();
  fake_.say(event("die", 'b'));
  EXPECT_TRUE(until([&] { return seen_.empty(); }));
}

TEST_F(WithEngine, AContainerThatTheListDoesNotHaveYetIsSeen) {
  watch({"net", false, std::nullopt, 1h});
  ASSERT_TRUE(until([&] { return look_ups_ == 1 && fake_.has_events(); }));
  add('b', "two");
  fake_.unlisted.insert(id_of('b'));
  fake_.say(event("start", 'b'));
  EXPECT_TRUE(until([&] { return seen_.size() == 1; }));
  fake_.containers.clear();
  fake_.say(event("die", 'b'));
  EXPECT_TRUE(until([&] { return seen_.empty(); }));
}

TEST_F(WithEngine, MissingNetworkIsCreatedAndSelfAttached) {
  fake_.network_exists = false;
  json::object self = described('f', "self", {});
  self["NetworkSettings"] = json::object{{"Networks", json::object{}}};
  fake_.containers[id_of('f')] = self;
  watch({"net", true, id_of('f'), 1h});
  ASSERT_TRUE(until([&] { return look_ups_ == 1; }));
  EXPECT_TRUE(asked("POST /networks/create"));
  EXPECT_TRUE(asked("POST /networks/net/connect"));
  EXPECT_EQ(watcher_->self()->name, "self");
}

TEST_F(WithEngine, OfTwoNetworksMadeAtOnceTheYoungerGoes) {
  fake_.network_exists = false;
  json::object self = described('f', "self", {});
  self["NetworkSettings"] = json::object{{"Networks", json::object{}}};
  fake_.containers[id_of('f')] = self;
  fake_.created_network = R"({"Id":"ours","Warning":""})";
  fake_.networks =
      R"([{"Name":"net","Id":"ours","Created":"2026-01-31T12:00:00.25Z"},{"Name":"network","Id":"none","Created":"2026-01-31T11:00:00Z"},
    {"Name":"net","Id":"theirs","Created":"2026-01-31T12:00:00.2000001Z"}])";
  watch({"net", true, id_of('f'), 1h});
  ASSERT_TRUE(until([&] { return look_ups_ == 1; }));
  EXPECT_TRUE(asked("DELETE /networks/ours"));
  EXPECT_TRUE(asked("POST /networks/theirs/connect"));
}

TEST_F(WithEngine, OfTwoNetworksMadeAtOnceTheOlderStays) {
  fake_.network_exists = false;
  fake_.created_network = R"({"Id":"ours"})";
  fake_.networks =
      R"([{"Name":"net","Id":"theirs","Created":"2026-01-31T12:00:00.3Z"},{"Name":"net","Id":"ours","Created":"2026-01-31T12:00:00.25Z"}])";
  watch({"net", false, std::nullopt, 1h});
  ASSERT_TRUE(until([&] { return look_ups_ == 1; }));
  EXPECT_FALSE(asked("DELETE /networks/ours"));
}

TEST_F(WithEngine, ReadOnlyEngineSuffices) {
  fake_.read_only = true;
  fake_.containers[id_of('f')] = described('f', "self", {});
  add('a', "one");
  watch({"net", true, id_of('f'), 20ms});
  ASSERT_TRUE(until([&] { return seen_.size() == 2; }));
  fake_.network_exists = false;  // it cannot be made: waits for it
  fake_.containers.clear();
  const int before = look_ups_;
  EXPECT_TRUE(until([&] { return look_ups_ > before + 2; }));
  fake_.network_exists = true;
  add('b', "two");
  EXPECT_TRUE(until([&] { return seen_.size() == 1 && seen_[0].name == "two"; }));
}

}  // namespace
}  // namespace hg::docker
