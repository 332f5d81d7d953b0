#include "app/policy_source.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/rng.h"

namespace hg::app {
namespace {

class PolicySourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "hypergate-policy-XXXXXX").string();
    ASSERT_NE(nullptr, mkdtemp(pattern.data()));
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& text) {
    const std::string path = folder_ / name;
    std::ofstream(path + ".new") << text;
    std::filesystem::rename(path + ".new", path);
    return path;
  }

  std::filesystem::path folder_;
};

TEST_F(PolicySourceTest, LaterOnesWinAndFaultsNameTheirSource) {
  const auto loaded = load_policies({R"({"defaults":{"allow":false},"ips":{"10.0.0.1":{"labels":["a"]}}})",
                                     write("p.json", R"({"defaults":{"allow":true},"ips":{"10.0.0.1":{"allow":false}}})")});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(R"({"defaults":{"allow":true},"ips":{"10.0.0.1":{"labels":["a"],"allow":false}}})", loaded->merged);
  EXPECT_EQ("", load_policies({})->merged);
  const std::string bad = write("bad.json", R"({"ips":{"10.0.0.1":{"allow":1}}})");
  EXPECT_EQ("--ingressPolicy: " + bad + ": $.ips[\"10.0.0.1\"].allow: 1 is not accepted; true or false",
            load_policies({"{}", bad}).error().message);
  EXPECT_FALSE(load_policies({write("empty.json", "")}));
  EXPECT_FALSE(load_policies({folder_ / "nothing"}));
}

TEST_F(PolicySourceTest, AChangedFileIsHeardOfAndABrokenOneIsNot) {
  SeededRng rng(1);
  io::Loop loop(rng);
  const std::string path = write("p.json", "{}");
  auto sources = load_policies({path});
  ASSERT_TRUE(sources);
  std::vector<std::string> heard;
  PolicyWatch watch(loop, std::move(*sources), 60s, [&](const std::string& merged) { heard.push_back(merged); });
  write("p.json", R"({"defaults":{"allow":"x"}})");
  EXPECT_FALSE(loop.run_until([&] { return !heard.empty(); }, 2500ms));
  write("p.json", R"({"defaults":{"allow":false}})");
  ASSERT_TRUE(loop.run_until([&] { return !heard.empty(); }, 30s));
  EXPECT_EQ(R"({"defaults":{"allow":false}})", heard[0]);
  std::filesystem::remove(path);
  write("p.json", R"({"defaults":{"allow":true}})");
  ASSERT_TRUE(loop.run_until([&] { return heard.size() == 2; }, 30s));
}

TEST_F(PolicySourceTest, WhatCouldNotBeReadIsReadOnceItCan) {
  const std::string path = folder_ / "p.json";
  const std::string other = folder_ / "other.json";
  std::filesystem::create_symlink(write("first.json", "{}"), path);
  PolicyPart part(path);
  ASSERT_TRUE(part.look());
  // A folder cannot be read as a file, for root neither, and its stamp stays.
  std::filesystem::create_directory(other);
  std::filesystem::remove(path);
  std::filesystem::create_symlink(other, path);
  EXPECT_FALSE(part.look());
  EXPECT_FALSE(part.look()) << "asked again";
}

}  // namespace
}  // namespace hg::app
