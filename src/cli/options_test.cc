// What the command line and the environment say, as far as no program need run for it (others: test/system/cli.test.mjs).
#include "cli/options.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace hg::cli {
namespace {

const std::string kSecret(64, 'a');

class OptionsTest : public testing::Test {
 protected:
  ~OptionsTest() override {
    for (const std::string& name : set_) ::unsetenv(name.c_str());
  }

  void set(const std::string& name, const std::string& value) {
    ::setenv(name.c_str(), value.c_str(), 1);
    set_.push_back(name);
  }
  static Expected<app::RawOptions> read(std::vector<const char*> words) {
    words.insert(words.begin(), "hypergate");
    return read_options(static_cast<int>(words.size()), words.data());
  }
  static Expected<app::Config> config(std::vector<const char*> words) {
    const auto raw = read(std::move(words));
    return raw ? app::make_config(*raw) : raw.error();
  }

 private:
  std::vector<std::string> set_;
};

TEST_F(OptionsTest, ASwitchThatIsOnByItselfIsSwitchedOffByItsVariable) {
  set("HYPERGATE_ROUTER", kSecret);
  for (const char* off : {"false", "False", "0"}) {
    set("HYPERGATE_EXPOSE_ONLY_DOCKER", off);
    const auto said = config({"gateway", "--docker"});
    ASSERT_TRUE(said) << said.error().message;
    EXPECT_FALSE(said->expose_only_docker) << off;
  }
  EXPECT_TRUE(config({"gateway", "--docker", "--exposeOnlyDocker"})->expose_only_docker) << "the command line wins";
}

TEST_F(OptionsTest, RolesAndSwitchesThatTheEnvironmentSwitchesOffAreOff) {
  set("HYPERGATE_ROUTER", kSecret);
  for (const char* name :
       {"HYPERGATE_PROVIDER", "HYPERGATE_DOCKER", "HYPERGATE_NO_RELAY", "HYPERGATE_VERBOSE", "HYPERGATE_UNLIMITED_PUBLIC"})
    set(name, "false");
  const auto said = config({"--gateway"});
  ASSERT_TRUE(said) << said.error().message;
  EXPECT_FALSE(said->provider || said->docker || said->verbose);
  EXPECT_TRUE(said->gateway && said->relay);
}

// As the TypeScript program takes it.
TEST_F(OptionsTest, ATrailingSecretIsTheRouterBehindAnOptionThatNeedsNoValueToo) {
  for (const auto& words : std::vector<std::vector<const char*>>{{"--gateway"},
                                                                 {"gateway", "--verbose"},
                                                                 {"--provider", "80", "--docker"},
                                                                 {"--docker", "--provider"},
                                                                 {"--gateway", "--exposeOnlyPublished", "--noRelay"}}) {
    std::vector<const char*> line = words;
    line.push_back(kSecret.c_str());
    const auto said = config(line);
    ASSERT_TRUE(said) << words.back() << ": " << said.error().message;
    EXPECT_EQ(to_hex(*said->router), kSecret) << words.back();
    EXPECT_TRUE(said->filters.empty());
    EXPECT_EQ(words.front() == std::string("--provider") ? 1u : 0u, said->services.size());
  }
  EXPECT_TRUE(config({"--scan", kSecret.c_str()})->router_name);
  set("HYPERGATE_ROUTER_FILE", "/nonexistent");
  EXPECT_TRUE(config({"gateway", "--verbose", kSecret.c_str()})->verbose) << "the command line wins";
}

TEST_F(OptionsTest, ASecretBesideTheRouterIsNoRouter) {
  const std::string other(64, 'b');
  const auto raw = read({"--router", other.c_str(), "--gateway", kSecret.c_str()});
  ASSERT_TRUE(raw) << raw.error().message;
  EXPECT_EQ(other, raw->last("router"));
  const auto refused = config({"--router", other.c_str(), "--gateway", "--verbose", kSecret.c_str()});
  ASSERT_FALSE(refused);
  EXPECT_EQ(std::string::npos, refused.error().message.find(kSecret)) << refused.error().message;
}

TEST_F(OptionsTest, WhatUrlsKeepToThemselvesIsInNoProcessList) {
  const std::pair<std::string, std::string> words[] = {
      {"https://user:pass@h.example:8443/f.json?token=t#x", "https://*********@h.example:8443/f.json?*********"},
      {"--ingressPolicy=http://me@h/p", "--ingressPolicy=http://**@h/p"},
      {"http://h?key=1@2", "http://h?*******"},
      {"http://a@b@c/d@e", "http://***@c/d@e"},
      {"http://h/f.json", "http://h/f.json"},
      {"http://@h", "http://@h"},
      {"file.json?a=b", "file.json?a=b"},
      {R"([{"serviceHost":"http://u:p@h"}])", R"([{"serviceHost":"http://u:p@h"}])"}};
  for (const auto& [word, left] : words) {
    std::string first = "hypergate", second = word;
    char* argv[] = {first.data(), second.data()};
    hide_secrets(2, argv);
    EXPECT_EQ(left, second);
  }
}

}  // namespace
}  // namespace hg::cli
