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

}  // namespace
}  // namespace hg::cli
