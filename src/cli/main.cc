// hypergate: reads what is asked, checks all of it, then runs it.
// Exit status: 0 done, 1 failed while running, 2 asked for something that cannot be.
#include <cstdio>

#include "app/commands.h"
#include "cli/log_sink.h"
#include "cli/options.h"
#include "crypto/crypto.h"

namespace {

constexpr int kUsageStatus = 2;

int refuse(const hg::Error& error) {
  std::fprintf(stderr, "hypergate: %s\n", error.message.c_str());
  return kUsageStatus;
}

}  // namespace

int main(int argc, char** argv) {
  hg::crypto::init();
  const auto raw = hg::cli::read_options(argc, argv);
  if (!raw) return refuse(raw.error());
  auto config = hg::app::make_config(*raw);
  hg::cli::hide_secrets(argc, argv);
  if (!config) return refuse(config.error());

  if (config->command == hg::app::Command::kHelp) {
    std::puts(hg::cli::help_text().c_str());
    return 0;
  }
  if (config->command == hg::app::Command::kVersion) {
    std::puts(hg::cli::version_text().c_str());
    return 0;
  }
  hg::cli::install_log(config->log_format, config->verbose);
  auto command = hg::app::prepare(std::move(*config));
  if (!command) return refuse(command.error());
  return (*command)();
}
