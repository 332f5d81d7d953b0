// What an engine tells of containers and events, as we read it.
#include "docker/container.h"

#include <gtest/gtest.h>

#include "docker/engine.h"
#include "support/docker_engine.h"

namespace hg::docker {
namespace {

using namespace test;
using tunnel::Protocol;

TEST(Container, FromTheEnginesDescription) {
  const json::object bindings = {{"80/tcp", json::array{json::object{{"HostIp", "0.0.0.0"}, {"HostPort", "8080"}},
                                                        json::object{{"HostIp", "::"}, {"HostPort", "8080"}}}},
                                 {"443/tcp", nullptr},
                                 {"9/sctp", nullptr}};
  const Container c =
      container(described('a', "web", {"web.hyper"}, {{"x", "y"}}, {{"80/tcp", json::object{}}, {"53/udp", json::object{}}}, bindings));
  EXPECT_EQ(c.name, "web");
  EXPECT_TRUE(c.running);
  EXPECT_EQ(c.labels.at("x"), "y");
  EXPECT_EQ(c.networks.at("net").aliases, std::vector<std::string>{"web.hyper"});
  ASSERT_EQ(c.ports.size(), 3u);
  EXPECT_EQ(c.ports[0], (ContainerPort{53, Protocol::kUdp, {}}));
  EXPECT_EQ(c.ports[1], (ContainerPort{80, Protocol::kTcp, {8080}}));
  EXPECT_EQ(c.ports[2], (ContainerPort{443, Protocol::kTcp, {}}));
}

TEST(Container, BrokenDescriptionsAreErrors) {
  for (const char* bad : {"", "[]", "{}", "{\"Id\":5}", "{\"Id\":\"\"}", "nonsense"}) EXPECT_FALSE(parse_container(bad).ok()) << bad;
  for (const char* odd : {R"({"Id":"a","NetworkSettings":[],"Config":null})",
                          R"({"Id":"a","NetworkSettings":{"Ports":{"x":1,"0/tcp":[],"80":[1]},"Networks":{"n":0}}})"})
    EXPECT_TRUE(parse_container(odd).ok()) << odd;
  EXPECT_FALSE(parse_container_list("{}").ok());
  EXPECT_EQ(parse_container_list(R"([1, {"Id":""}, {"Id":"b","Names":["/n"],"State":"exited"}])")->size(), 1u);
}

TEST(Container, AListSaysOnWhichNetworksEachIs) {
  const auto list = parse_container_list(R"([{"Id":"a","NetworkSettings":{"Networks":{"net":{"NetworkID":"n1"},"odd":1}}},
                                             {"Id":"b","NetworkSettings":{"Networks":{}}}, {"Id":"c"}])");
  ASSERT_EQ(list->size(), 3u);
  EXPECT_EQ((*list)[0].networks, (std::map<std::string, std::string>{{"net", "n1"}}));
  EXPECT_EQ((*list)[1].networks, (std::map<std::string, std::string>{}));
  EXPECT_EQ((*list)[2].networks, std::nullopt);
}

TEST(Events, AreReducedToTheContainer) {
  const auto start = parse_event(
      R"({"Type":"container","Action":"start","Actor":{"ID":"abc","Attributes":{"name":"n","hypergate.helper":"r"}},"timeNano":1795340349280109037})");
  ASSERT_TRUE(start.ok());
  EXPECT_EQ(start->container, "abc");
  EXPECT_EQ(start->attributes.at("hypergate.helper"), "r");
  EXPECT_EQ(start->time_ns, 1795340349280109037);
  const auto connect = parse_event(R"({"Type":"network","Action":"connect","Actor":{"ID":"net","Attributes":{"container":"abc"}}})");
  EXPECT_EQ(connect->container, "abc");
  EXPECT_FALSE(parse_event("nonsense").ok());
}

}  // namespace
}  // namespace hg::docker
