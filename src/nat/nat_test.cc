#include <gtest/gtest.h>

#include <set>

#include "nat/address.h"
#include "nat/punch_plan.h"
#include "nat/sampler.h"
#include "support/vectors.h"

namespace hg::nat {
namespace {

uint32_t ip(const boost::json::value& text) { return parse_ipv4(text.as_string()).value(); }
Endpoint at(const char* host, uint16_t port) { return {parse_ipv4(host).value(), port}; }

TEST(Address, KindsEqualTheReference) {
  const auto vectors = test::load_vectors("bogon");
  for (const auto& v : vectors.at("ips").as_array()) {
    const uint32_t address = ip(v.at("ip"));
    EXPECT_EQ(is_private(address), v.at("isPrivate").as_bool()) << v;
    EXPECT_EQ(is_reserved(address), v.at("isReserved").as_bool()) << v;
    EXPECT_EQ(is_bogon(address), v.at("isBogon").as_bool()) << v;
  }
}

TEST(Address, MatchingEqualsTheReference) {
  const auto vectors = test::load_vectors("bogon");
  for (const auto& v : vectors.at("matchAddress").as_array()) {
    std::vector<Endpoint> mine, remote;
    for (const auto& a : v.at("mine").as_array()) mine.push_back({ip(a), 1});
    for (const auto& a : v.at("remote").as_array()) remote.push_back({ip(a), 2});
    const auto result = match_address(mine, remote);
    if (v.at("result").is_null()) {
      EXPECT_FALSE(result) << v;
    } else {
      ASSERT_TRUE(result) << v;
      EXPECT_EQ(*result, (Endpoint{ip(v.at("result")), 2})) << v;
    }
  }
}

TEST(NatSampler, EveryStepEqualsTheReference) {
  const auto vectors = test::load_vectors("nat").at("hyperdht_nat").as_object();
  for (const auto& [name, steps] : vectors) {
    if (!steps.is_array()) continue;
    Sampler sampler(name != "not_firewalled");
    uint16_t voter = 1;
    for (const auto& step : steps.as_array()) {
      const auto& add = step.at("add").as_array();
      sampler.add({ip(add[0]), static_cast<uint16_t>(add[1].to_number<int>())}, {1, voter++});
      EXPECT_EQ(sampler.samples(), step.at("sampled").to_number<size_t>()) << name;
      EXPECT_EQ(sampler.firewall(), step.at("firewall").to_number<uint64_t>()) << name;
      if (step.at("addresses").is_null()) {
        EXPECT_FALSE(sampler.addresses()) << name;
        continue;
      }
      std::vector<Endpoint> expected;
      for (const auto& a : step.at("addresses").as_array())
        expected.push_back({ip(a.at("host")), static_cast<uint16_t>(a.at("port").to_number<int>())});
      ASSERT_TRUE(sampler.addresses()) << name;
      EXPECT_EQ(*sampler.addresses(), expected) << name;
    }
  }
}

TEST(NatSampler, ANodeVotesOnce) {
  Sampler sampler(true);
  for (int i = 0; i < 5; ++i) sampler.add(at("1.1.1.1", 5), at("9.9.9.9", 1));
  EXPECT_EQ(sampler.samples(), 1u);
  EXPECT_FALSE(sampler.settled());
}

TEST(NatSampler, FrozenItKeepsItsVerdict) {
  Sampler sampler(true);
  for (uint16_t i = 0; i < 3; ++i) sampler.add(at("1.1.1.1", 5), at("9.9.9.9", i));
  sampler.freeze();
  for (uint16_t i = 3; i < 9; ++i) sampler.add(at("1.1.1.1", i), at("9.9.9.9", i));
  EXPECT_EQ(sampler.firewall(), wire::kFirewallConsistent);
  EXPECT_EQ(*sampler.addresses(), (std::vector<Endpoint>{at("1.1.1.1", 5)}));
}

class Plan : public ::testing::Test {
 protected:
  struct Shot {
    Duration at;
    Probe probe;
  };
  std::vector<Shot> run(PunchPlan& plan) {
    std::vector<Shot> shots;
    while (plan.next()) {
      const TimePoint now = *plan.next();
      std::vector<Probe> due;
      plan.poll(now, rng_, due);
      for (const Probe& probe : due) shots.push_back({now - start_, probe});
    }
    return shots;
  }
  static PunchPlan::Situation situation(wire::Firewall local, wire::Firewall remote, bool verified = true) {
    return {true, local, remote, {{at("1.2.3.4", 100), verified}, {at("5.6.7.8", 200), false}}};
  }

  SeededRng rng_{3};
  TimePoint start_{1h};
};

TEST_F(Plan, ConsistentBothTenRoundsUnverifiedOnFourAndEight) {
  auto plan = PunchPlan::make(situation(wire::kFirewallConsistent, wire::kFirewallOpen), start_);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->sockets(), 1u);
  EXPECT_FALSE(plan->random());
  std::vector<Duration> verified, unverified;
  for (const Shot& shot : run(*plan)) (shot.probe.to == at("1.2.3.4", 100) ? verified : unverified).push_back(shot.at);
  ASSERT_EQ(verified.size(), 10u);
  EXPECT_EQ(verified.front(), 0s);
  EXPECT_EQ(verified.back(), 9s);
  EXPECT_EQ(unverified, (std::vector<Duration>{3s, 7s}));
}

TEST_F(Plan, TheResponderWaitsASecond) {
  auto s = situation(wire::kFirewallConsistent, wire::kFirewallConsistent);
  s.initiator = false;
  auto plan = PunchPlan::make(s, start_);
  EXPECT_EQ(*plan->next() - start_, 1s);
}

TEST_F(Plan, TowardsARandomNatPortsAreGuessed) {
  auto plan = PunchPlan::make(situation(wire::kFirewallConsistent, wire::kFirewallRandom), start_);
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->random());
  const auto shots = run(*plan);
  ASSERT_EQ(shots.size(), 1750u);
  EXPECT_EQ(shots[3].at, 0s);
  EXPECT_EQ(shots[4].at, 20ms);
  EXPECT_EQ(shots[1001].at - shots[1000].at, 20ms);
  EXPECT_LE(shots.back().at, 20s);
  std::set<uint16_t> ports;
  for (const Shot& shot : shots) {
    EXPECT_EQ(shot.probe.to.address, at("1.2.3.4", 0).address);
    EXPECT_GE(shot.probe.to.port, 1000);
    ports.insert(shot.probe.to.port);
  }
  EXPECT_GT(ports.size(), 1600u);
}

TEST_F(Plan, FromARandomNatManySocketsTakeTurns) {
  auto plan = PunchPlan::make(situation(wire::kFirewallRandom, wire::kFirewallConsistent), start_);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->sockets(), 256u);
  const auto shots = run(*plan);
  ASSERT_EQ(shots.size(), 255u + 1750u);
  for (size_t i = 0; i < 255; ++i) {
    EXPECT_EQ(shots[i].at, 0s);
    EXPECT_EQ(shots[i].probe.socket, i + 1);
    EXPECT_TRUE(shots[i].probe.low_ttl);
  }
  EXPECT_EQ(shots[255].at, 100ms);
  EXPECT_EQ(shots[255].probe.socket, 0u);
  for (size_t i = 0; i < 512; ++i) EXPECT_EQ(shots[255 + i].probe.low_ttl, i < 256 && i % 8 != 0) << i;
  EXPECT_EQ(shots[255 + 256].probe.socket, 0u);
}

TEST_F(Plan, WhatCannotWorkIsNotTried) {
  EXPECT_FALSE(PunchPlan::make(situation(wire::kFirewallRandom, wire::kFirewallRandom), start_));
  EXPECT_FALSE(PunchPlan::make(situation(wire::kFirewallUnknown, wire::kFirewallConsistent), start_));
  EXPECT_FALSE(PunchPlan::make(situation(wire::kFirewallConsistent, wire::kFirewallRandom, false), start_));
  EXPECT_FALSE(PunchPlan::make(situation(wire::kFirewallRandom, wire::kFirewallConsistent, false), start_));
  EXPECT_FALSE(PunchPlan::make(PunchPlan::Situation{true, wire::kFirewallConsistent, wire::kFirewallConsistent, {}}, start_));
}

TEST_F(Plan, PortZeroIsSkipped) {
  PunchPlan::Situation s{true, wire::kFirewallConsistent, wire::kFirewallConsistent, {{at("1.2.3.4", 0), true}}};
  auto plan = PunchPlan::make(s, start_);
  EXPECT_TRUE(run(*plan).empty());
}

TEST_F(Plan, AFloodOfAddressesIsCut) {
  PunchPlan::Situation s{true, wire::kFirewallConsistent, wire::kFirewallConsistent, {}};
  for (uint16_t i = 1; i < 1000; ++i) s.addresses.push_back({at("1.2.3.4", i), true});
  auto plan = PunchPlan::make(s, start_);
  EXPECT_EQ(run(*plan).size(), 320u);
}

}  // namespace
}  // namespace hg::nat
