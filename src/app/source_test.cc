#include "app/source.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "support/scratch_folder.h"

namespace hg::app {
namespace {

Expected<void> check_array(const std::string& text, const std::string& name) {
  return text.front() == '[' && text.back() == ']' ? Expected<void>() : Error{"BAD_VALUE", name + ": no array"};
}
constexpr SourceKind kKind{"--provider", check_array, "the last good services stay"};

class SourceTest : public test::WithFolder {
 protected:
  /// 1: changed, 0: same, -1: an error.
  static int look(Source& source) {
    const auto looked = source.look();
    return looked ? *looked == Source::Look::kChanged : -1;
  }
};

TEST_F(SourceTest, InlineJsonIsReadOnce) {
  Source source(kKind, " [1]");
  EXPECT_EQ(-1, look(source));
  EXPECT_EQ("--provider: no array", source.fault());
  source = Source(kKind, "[1]");
  EXPECT_EQ(1, look(source));
  EXPECT_EQ(0, look(source));
  EXPECT_FALSE(source.can_change());
  EXPECT_EQ("[1]", source.text());
  EXPECT_EQ("--provider (inline)", source.name());
}

TEST_F(SourceTest, AWordStandsForItsText) {
  SourceKind kind = kKind;
  kind.text_of_word = [](std::string_view word) {
    return word == "8080" ? std::optional<std::string>("[8080]") : word == "0" ? std::optional<std::string>("bad") : std::nullopt;
  };
  Source source(kind, "8080");
  EXPECT_EQ(1, look(source));
  EXPECT_EQ("[8080]", source.text());
  EXPECT_EQ("8080", source.name());
  EXPECT_FALSE(source.can_change());
  source = Source(kind, "0");
  EXPECT_EQ(-1, look(source));
  EXPECT_EQ("--provider: 0: no array", source.fault());
  EXPECT_TRUE(Source(kind, "s.json").can_change());
}

TEST_F(SourceTest, AFileIsReadAgainHoweverItChanged) {
  Source source(kKind, write("s.json", "[1]"));
  EXPECT_EQ(1, look(source));
  EXPECT_EQ(0, look(source));
  overwrite("s.json", "[2,3]");
  EXPECT_EQ(1, look(source));
  write("s.json", "[4,5]");
  EXPECT_EQ(1, look(source));
  std::filesystem::remove(folder_ / "s.json");
  EXPECT_EQ(-1, look(source));
  EXPECT_EQ("--provider: cannot read '" + source.name() + "': no such file", source.fault());
  write("s.json", "[6]");
  EXPECT_EQ(1, look(source));
  EXPECT_EQ("[6]", source.text());
  EXPECT_EQ("", source.fault());
}

TEST_F(SourceTest, ABrokenTextLeavesTheLastGoodOneAndIsReadOnce) {
  Source source(kKind, write("s.json", "[1]"));
  EXPECT_EQ(1, look(source));
  overwrite("s.json", "");
  EXPECT_EQ(-1, look(source));
  EXPECT_EQ("--provider: " + source.name() + ": is empty; JSON is wanted", source.fault());
  overwrite("s.json", "[1");
  EXPECT_EQ(-1, look(source));
  EXPECT_EQ("--provider: " + source.name() + ": no array", source.fault());
  EXPECT_EQ(0, look(source)) << "not read again";
  EXPECT_NE("", source.fault()) << "and still broken";
  EXPECT_EQ("[1]", source.text());
  overwrite("s.json", "[1]");
  EXPECT_EQ(0, look(source));
  EXPECT_EQ("", source.fault());
}

TEST_F(SourceTest, WhatCouldNotBeReadIsReadOnceItCan) {
  const std::string path = folder_ / "p.json";
  const std::string first = write("first.json", "[1]"), other = folder_ / "other.json";
  std::filesystem::create_symlink(first, path);
  Source source(kKind, path);
  EXPECT_EQ(1, look(source));
  // A folder cannot be read as a file, for root neither, and its stamp stays.
  std::filesystem::create_directory(other);
  std::filesystem::remove(path);
  std::filesystem::create_symlink(other, path);
  EXPECT_EQ(-1, look(source));
  EXPECT_EQ(-1, look(source)) << "asked again";
  std::filesystem::remove(path);
  std::filesystem::create_symlink(first, path);
  EXPECT_EQ(0, look(source));
  EXPECT_EQ("", source.fault()) << "the same file as before the fault";
}

TEST_F(SourceTest, APipeIsReadOnceAndNeverWaitedFor) {
  const std::string path = folder_ / "pipe";
  ASSERT_EQ(0, mkfifo(path.c_str(), 0600));
  std::thread writer([&] { std::ofstream(path) << "[1]"; });
  Source source(kKind, path);
  EXPECT_EQ(1, look(source));
  writer.join();
  EXPECT_EQ(0, look(source));
  EXPECT_FALSE(source.can_change());

  Source file(kKind, write("s.json", "[1]"));
  EXPECT_EQ(1, look(file));
  std::filesystem::remove(folder_ / "s.json");
  ASSERT_EQ(0, mkfifo((folder_ / "s.json").c_str(), 0600));
  EXPECT_EQ(-1, look(file)) << "nobody writes there";
}

TEST_F(SourceTest, ANameThatMayBeASecretIsInNoMessage) {
  const std::string secret(64, 'a');
  Source source(kKind, secret);
  EXPECT_EQ(-1, look(source));
  EXPECT_EQ(std::string::npos, source.fault().find(secret));
}

}  // namespace
}  // namespace hg::app
