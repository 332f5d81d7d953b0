// Which services containers stand for: ports, labels, names.
#include "docker/discovery.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "support/docker_engine.h"

namespace hg::docker {
namespace {

using namespace test;
using tunnel::Protocol;
using tunnel::Service;

std::vector<std::string> lines(const Discovery& found) {
  std::vector<std::string> out;
  for (const Service& s : found.services)
    out.push_back(
        fmt::format("{}:{}>{}/{} {}", s.service_host, s.service_port, s.gate_port, s.protocol == Protocol::kUdp ? "udp" : "tcp", s.tags));
  return out;
}

std::vector<std::string> found_in(const json::object& description) {
  const std::vector<Container> list = {container(description)};
  return lines(discover(list, {"net", "", {}}));
}

using Lines = std::vector<std::string>;

TEST(Discovery, ExposedAndPublishedPorts) {
  EXPECT_EQ(found_in(described('a', "db", {"mysql.hyper"}, {}, {{"3306/tcp", json::object{}}})), Lines{"mysql.hyper:3306>3306/tcp docker"});
  EXPECT_EQ(found_in(described('a', "db", {}, {}, {{"53/udp", json::object{}}})), Lines{"db:53>53/udp docker"});
  const json::object bindings = {{"80/tcp", json::array{json::object{{"HostPort", "8080"}}}}};
  EXPECT_EQ(found_in(described('a', "web", {}, {}, {}, bindings)), (Lines{"web:80>80/tcp docker", "web:80>8080/tcp docker published"}));
  const json::object same = {{"80/tcp", json::array{json::object{{"HostPort", "80"}}}}};
  EXPECT_EQ(found_in(described('a', "web", {}, {}, {}, same)), Lines{"web:80>80/tcp docker published"});
}

TEST(Discovery, Labels) {
  const json::object exposed = {{"80/tcp", json::object{}}, {"53/udp", json::object{}}};
  auto with = [&](json::object labels, json::object bindings = {}) {
    return found_in(described('a', "c", {}, std::move(labels), exposed, std::move(bindings)));
  };
  EXPECT_EQ(with({{"hypergate.EXCLUDE", "true"}}), Lines{});
  EXPECT_EQ(with({{"hypergate.EXCLUDE", "\"true\""}}), Lines{});
  EXPECT_EQ(with({{"hypergate.EXCLUDE", "false"}}).size(), 2u);
  EXPECT_EQ(with({{"hypergate.UNEXPOSE", "*"}}), Lines{});
  EXPECT_EQ(with({{"hypergate.UNEXPOSE", "80"}}), Lines{"c:53>53/udp docker"});
  EXPECT_EQ(with({{"hypergate.UNEXPOSE", "53/tcp, 80/tcp"}}), Lines{"c:53>53/udp docker"});
  EXPECT_EQ(with({{"hypergate.UNEXPOSE", "*"}}, {{"80/tcp", json::array{json::object{{"HostPort", "8080"}}}}}),
            Lines{"c:80>8080/tcp docker published"});
  EXPECT_EQ(with({{"hypergate.UNEXPOSE", "*"}, {"hypergate.EXPOSE", "3306"}}), Lines{"c:3306>3306/tcp docker"});
  EXPECT_EQ(with({{"hypergate.UNEXPOSE", "*"}, {"hypergate.EXPOSE", "\"3306:13306/tcp\", 5353/udp"}}),
            (Lines{"c:5353>5353/udp docker", "c:3306>13306/tcp docker published"}));
}

TEST(Discovery, BrokenLabelsAreNamedAndTheRestStands) {
  const std::vector<Container> list = {
      container(described('a', "c", {}, {{"hypergate.EXPOSE", "80,x,70000,81:0,82/sctp,*,83"}, {"hypergate.UNEXPOSE", "1:2"}}))};
  const Discovery found = discover(list, {"net", "", {}});
  EXPECT_EQ(lines(found), (Lines{"c:80>80/tcp docker", "c:83>83/tcp docker"}));
  ASSERT_EQ(found.faults.size(), 6u);
  EXPECT_EQ(found.faults[1], "container c: label hypergate.EXPOSE: 'x' is not port[:public port][/protocol]");
}

TEST(Discovery, OneAliasOnTwoContainersIsOneServiceWithTwoAddresses) {
  const json::object exposed = {{"80/tcp", json::object{}}};
  const std::vector<Container> list = {container(described('a', "one", {"web"}, {}, exposed)),
                                       container(described('b', "two", {"web"}, {}, exposed))};
  const Discovery found = discover(list, {"net", "", {}});
  EXPECT_EQ(lines(found), Lines{"web:80>80/tcp docker"});
  EXPECT_EQ(found.addresses.at({"web", 80, Protocol::kTcp}).size(), 2u);
  EXPECT_EQ(found.local_hosts, (std::set<std::string>{"one", "two", "web"}));
}

TEST(Discovery, SelfHelpersAndOtherNetworksAreLeftOut) {
  const json::object exposed = {{"80/tcp", json::object{}}};
  std::vector<Container> list = {container(described('a', "self", {}, {}, exposed)),
                                 container(described('b', "helper", {"remote"}, {{kLabelHelper, "r"}}, exposed)),
                                 container(described('c', "x-hypergate-gateway-secret", {}, {}, exposed)),
                                 container(described('d', "stopped", {}, {}, exposed)), container(described('e', "away", {}, {}, exposed))};
  list[3].running = false;
  list[4].networks.clear();
  const Discovery found = discover(list, {"net", id_of('a'), {"secret"}});
  EXPECT_TRUE(found.services.empty());
  EXPECT_FALSE(found.local_hosts.contains("remote"));
  EXPECT_TRUE(found.local_hosts.contains("self"));
}

}  // namespace
}  // namespace hg::docker
