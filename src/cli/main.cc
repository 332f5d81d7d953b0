// hypergate: reads what is asked, checks all of it, then runs it.
// Exit status: 0 done, 1 failed while running, 2 asked for something that cannot be.
#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

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

// A descriptor for each client and each UDP flow: the usual soft limit of 1024 is meant for select(2), which nothing here uses.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// What a stream of messages frees it needs again at once. Beyond glibc's usual 128 KiB that would be given back to the system and, each
// page of it filled with zeros, taken again: tens of thousands of page faults a gigabyte.
void keep_freed_memory() {
  constexpr int kMostKept = 4 << 20;  // bytes; the buffers of a few connections at full speed
  mallopt(M_TRIM_THRESHOLD, kMostKept);
}

// What was asked for is done only once it is written: a full disk must not pass for a router secret.
int written(int status) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  std::fprintf(stderr, "hypergate: cannot write the output: %s\n", std::strerror(errno));
  return status == 0 ? 1 : status;
}

// Without destructors of statics: a helper thread may still be in a call that blocks.
[[noreturn]] void leave(int status) {
  status = written(status);
  hg::cli::finish_log();
  std::fflush(stderr);
  std::_Exit(status);
}

/// Started with a standard descriptor closed, the first socket would get its number, and the log its place among a client's bytes.
void open_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) ::open("/dev/null", O_RDWR);
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader of the log that is gone must not end the tunnel
  open_standard_descriptors();
  raise_descriptor_limit();
  keep_freed_memory();
  const auto manager = hg::app::ManagerOptions::take();
  hg::crypto::init();
  const auto raw = hg::cli::read_options(argc, argv);
  if (!raw) return refuse(raw.error());
  auto config = hg::app::make_config(*raw);
  hg::cli::hide_secrets(argc, argv);
  if (!config) return refuse(config.error());
  config->manager = manager;

  if (config->command == hg::app::Command::kHelp) {
    std::puts(hg::cli::help_text().c_str());
    leave(0);
  }
  if (config->command == hg::app::Command::kVersion) {
    std::puts(hg::cli::version_text().c_str());
    leave(0);
  }
  hg::cli::install_log(config->log_format, config->verbose);
  auto command = hg::app::prepare(std::move(*config));
  if (!command) return refuse(command.error());
  leave((*command)());
}
