#include "tunnel/loop_check.h"

#include <gtest/gtest.h>

#include "sim/world.h"

namespace hg::tunnel {
namespace {

constexpr uint32_t kOurs = 0x0a000001;

/// 10.0.0.1 is ours, and whoever provides is here.
Leads rule(const Service& service, const Endpoint&) {
  const auto address = parse_ipv4(service.service_host);
  return !address ? Leads::kByAddress : *address == kOurs ? Leads::kBack : Leads::kElsewhere;
}

class LoopCheckTest : public testing::Test {
 protected:
  LoopCheckTest() { check_.set_rule(rule); }
  LoopCheck::Verdict verdict(const std::string& host) {
    return check_.judge({80, host, 80, Protocol::kTcp, {}, {}}, Endpoint::loopback(1)).verdict;
  }

  using Verdict = LoopCheck::Verdict;
  sim::World world_{1};
  sim::Host& host_ = world_.add_host("10.0.0.1");
  int news_ = 0;
  LoopCheck check_{host_, [this] { ++news_; }};
};

TEST_F(LoopCheckTest, AddressesAreJudgedAtOnceAndNamesWhenTheyAreKnown) {
  host_.names = {{"here.lan", {kOurs + 1, kOurs}}, {"there.lan", {kOurs + 1}}};
  EXPECT_EQ(Verdict::kBack, verdict("10.0.0.1"));
  EXPECT_EQ(Verdict::kElsewhere, verdict("10.0.0.2"));
  for (const char* host : {"here.lan", "there.lan", "nowhere.lan"}) EXPECT_EQ(Verdict::kUnknown, verdict(host)) << host;
  EXPECT_EQ(0, news_);
  world_.run_for(1s);
  EXPECT_EQ(1, news_);
  EXPECT_EQ(Verdict::kBack, verdict("here.lan"));
  EXPECT_EQ(Verdict::kElsewhere, verdict("there.lan"));
  EXPECT_EQ(Verdict::kElsewhere, verdict("nowhere.lan"));
}

TEST_F(LoopCheckTest, WhatIsKeptIsLookedUpAnewAndCountsMeanwhile) {
  host_.names = {{"web.lan", {kOurs}}};
  verdict("web.lan");
  world_.run_for(30s);
  host_.names = {{"web.lan", {kOurs + 1}}};
  check_.keep("web.lan");
  world_.run_for(31s);
  EXPECT_EQ(Verdict::kBack, verdict("web.lan"));
  world_.run_for(1s);
  EXPECT_EQ(Verdict::kElsewhere, verdict("web.lan"));
  EXPECT_EQ(2, news_);
  host_.names.clear();
  world_.run_for(61s);
  check_.keep("web.lan");
  world_.run_for(1s);
  EXPECT_EQ(Verdict::kElsewhere, verdict("web.lan"));
  EXPECT_EQ(2, news_) << "a name server that fails moves nobody";
}

TEST_F(LoopCheckTest, TooManyNamesAreElsewhereUntilOthersAreNotAskedAboutAnyMore) {
  for (size_t i = 0; i < LoopCheck::kMaxNames; ++i) verdict("host" + std::to_string(i));
  world_.run_for(1s);
  EXPECT_EQ(Verdict::kElsewhere, verdict("host0"));
  verdict("one.more");
  host_.names = {{"one.more", {kOurs}}};
  world_.run_for(1s);
  EXPECT_EQ(Verdict::kElsewhere, verdict("one.more"));
  world_.run_for(61s);
  verdict("one.more");
  world_.run_for(1s);
  EXPECT_EQ(Verdict::kBack, verdict("one.more"));
}

TEST_F(LoopCheckTest, AnswersThatComeTogetherAreToldOnce) {
  for (int i = 0; i < 100; ++i) verdict("host" + std::to_string(i));
  world_.run_for(1s);
  EXPECT_EQ(1, news_);
}

TEST_F(LoopCheckTest, ANameServerThatSaysNothingIsNotWaitedForLong) {
  host_.silent_names = true;
  EXPECT_EQ(Verdict::kUnknown, verdict("here.lan"));
  world_.run_for(1s);
  EXPECT_EQ(Verdict::kUnknown, verdict("later.lan"));
  world_.run_for(2500ms);
  EXPECT_EQ(1, news_);
  EXPECT_EQ(Verdict::kElsewhere, verdict("here.lan"));
  EXPECT_EQ(Verdict::kUnknown, verdict("later.lan"));
  world_.run_for(1s);
  EXPECT_EQ(Verdict::kElsewhere, verdict("later.lan"));
}

}  // namespace
}  // namespace hg::tunnel
