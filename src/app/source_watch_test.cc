#include "app/source_watch.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "support/log_lines.h"
#include "support/scratch_folder.h"

namespace hg::app {
namespace {

class SourceWatchTest : public test::WithFolder {
 protected:
  void watch() {
    std::vector<Source> sources = sources_of(config_);
    for (Source& source : sources) ASSERT_TRUE(source.look());
    auto wanted = combine(sources);
    ASSERT_TRUE(wanted) << wanted.error().message;
    watch_ = std::make_unique<SourceWatch>(loop_, std::move(sources), std::move(*wanted), 60s,
                                           [this](const Wanted& changed) { heard_.push_back(changed); });
  }
  bool hears(size_t count, Duration limit = 30s) {
    return loop_.run_until([&] { return heard_.size() >= count; }, limit);
  }

  SeededRng rng_{1};
  io::Loop loop_{rng_};
  Config config_;
  std::vector<Wanted> heard_;
  std::unique_ptr<SourceWatch> watch_;
};

TEST_F(SourceWatchTest, AChangedPolicyIsHeardOfAndABrokenOneIsNot) {
  const std::string path = write("p.json", "{}");
  config_.endpoints.ingress_policies = {path};
  watch();
  write("p.json", R"({"defaults":{"allow":"x"}})");
  EXPECT_FALSE(hears(1, 2500ms));
  write("p.json", R"({"defaults":{"allow":false}})");
  ASSERT_TRUE(hears(1));
  EXPECT_EQ(R"({"defaults":{"allow":false}})", heard_[0].ingress_policy);
  std::filesystem::remove(path);
  write("p.json", R"({"defaults":{"allow":true}})");
  ASSERT_TRUE(hears(2));
}

TEST_F(SourceWatchTest, EachFaultIsToldOnceAndThatItWent) {
  config_.services = {write("a.json", R"([{"gatePort":80}])"), write("b.json", R"([{"gatePort":81}])")};
  watch();
  test::LogLines log;
  const auto told = [&](size_t lines) { return loop_.run_until([&] { return log.all.size() == lines; }, 30s); };
  overwrite("a.json", R"([{"gatePort":80},{"ga)");  // half written
  ASSERT_TRUE(told(1));
  std::filesystem::remove(config_.services[1]);  // read in vain each second
  ASSERT_TRUE(told(2));
  overwrite("a.json", R"([{"gatePort":80},{"gatePort":82}])");
  ASSERT_TRUE(told(3));
  ASSERT_TRUE(hears(1));
  ASSERT_EQ(3u, heard_[0].services.size()) << "what the missing file said stays";
  EXPECT_EQ(81, heard_[0].services[2].gate_port);
  write("b.json", R"([{"gatePort":81}])");
  ASSERT_TRUE(told(4));
  EXPECT_EQ("sources: --provider: " + config_.services[0] + ": not JSON at line 1, column 22: incomplete JSON; the last good services stay",
            log.all[0]);
  EXPECT_EQ("sources: --provider: cannot read '" + config_.services[1] + "': no such file; the last good services stay", log.all[1]);
  EXPECT_EQ("sources: " + config_.services[0] + ": good again", log.all[2]);
  EXPECT_EQ("sources: " + config_.services[1] + ": good again", log.all[3]);
  EXPECT_EQ(1u, heard_.size());
}

TEST_F(SourceWatchTest, WhatIsTooMuchTogetherIsRefusedAsAWholeAndToldOnce) {
  config_.services = {write("a.json", R"([{"gatePort":"1-2000"}])"), write("b.json", R"([{"gatePort":"2001-4000"}])")};
  watch();
  test::LogLines log;
  write("b.json", R"([{"gatePort":"2001-4097"}])");
  ASSERT_TRUE(loop_.run_until([&] { return !log.all.empty(); }, 30s));
  EXPECT_EQ("sources: --provider: 4097 services are not accepted; at most 4096; what was good before stays", log.all[0]);
  write("b.json", R"([{"gatePort":"2001-4097","tags":"x"}])");
  EXPECT_FALSE(hears(1, 2500ms));
  EXPECT_EQ(1u, log.all.size());
  write("a.json", R"([{"gatePort":"1-1999"}])");
  ASSERT_TRUE(hears(1));
  EXPECT_EQ(4096u, heard_[0].services.size());
}

}  // namespace
}  // namespace hg::app
