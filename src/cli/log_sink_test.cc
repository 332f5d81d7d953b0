#include "cli/log_sink.h"

#include <gtest/gtest.h>

#include "base/log.h"

namespace hg::cli {
namespace {

// A peer's text cannot move the cursor, colour lines or turn their order round. The sink is the process' own: once for all formats.
TEST(LogSink, WhatAPeerSaysIsWrittenAsOneHarmlessLine) {
  const char* const kSaid = "j\u00fcrgen\nforged\x1b[31m \u009b31m \u202ecba\u2028 \xff \"";
  testing::internal::CaptureStderr();
  install_log(app::LogFormat::kText, false);
  HG_LOG(kWarn, "peer", "{}", kSaid);
  install_log(app::LogFormat::kJson, false);
  HG_LOG(kWarn, "peer", "{}", kSaid);
  finish_log();
  log::install(log::Level::kError, {});
  const std::string lines = testing::internal::GetCapturedStderr();
  EXPECT_NE(std::string::npos, lines.find("peer: j\u00fcrgen?forged?[31m ?31m ?cba? ? \"\n")) << lines;
  EXPECT_NE(std::string::npos, lines.find(R"("message":"jürgen?forged?[31m ?31m ?cba? ? \""})")) << lines;
}

}  // namespace
}  // namespace hg::cli
