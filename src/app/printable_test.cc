#include "app/printable.h"

#include <gtest/gtest.h>

namespace hg::app {
namespace {

TEST(Printable, WhatPeopleReadStays) { EXPECT_EQ("web.hyper <b>jürgen</b> 日本 😀", printable("web.hyper <b>jürgen</b> 日本 😀", 100)); }

TEST(Printable, ControlsAndWhatChangesTheOrderDoNot) {
  EXPECT_EQ("?[31mred??", printable("\x1b[31mred\r\n", 100));
  EXPECT_EQ("a?b", printable("a\xc2\x9b"
                             "b",
                             100))
      << "CSI as one symbol";
  EXPECT_EQ("a?b", printable("a\u202e"
                             "b",
                             100));
  EXPECT_EQ("a?b", printable("a\u200b"
                             "b",
                             100));
  EXPECT_EQ("a?b", printable(std::string_view("a\0b", 3), 100));
}

TEST(Printable, WhatIsNoUtf8IsSeenAsSuch) {
  EXPECT_EQ("a?b", printable("a\xff"
                             "b",
                             100));
  EXPECT_EQ("??", printable("\xc0\x80", 100)) << "overlong";
  EXPECT_EQ("???", printable("\xed\xa0\x80", 100)) << "half a surrogate pair";
  EXPECT_EQ("a?", printable("a\xe2", 100)) << "cut short";
  EXPECT_EQ("????", printable("\xf4\x90\x80\x80", 100)) << "beyond Unicode";
}

TEST(Printable, ALongTextIsCutBetweenSymbols) {
  EXPECT_EQ("abc", printable("abc", 3));
  EXPECT_EQ("ab…", printable("abc", 2));
  EXPECT_EQ("ü…", printable("üü", 3));
}

}  // namespace
}  // namespace hg::app
