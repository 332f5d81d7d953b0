#include "app/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace hg::app {

namespace {

constexpr size_t kMaxLine = 64 << 10;

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

ChildProcess::ChildProcess(io::Loop& loop, const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
                           OnLine on_line)
    : on_line_(std::move(on_line)) {
  std::vector<std::string> words = {"hypergate"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables = environment;
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (!std::string_view(*variable).starts_with("HYPERGATE_")) variables.push_back(*variable);
  const auto argv = pointers(words);
  const auto envp = pointers(variables);

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return;
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(1);
    ::setpgid(0, 0);  // the terminal's Ctrl-C reaches only the parent, which ends its children in order
    ::dup2(ends[1], STDERR_FILENO);
    ::execve("/proc/self/exe", argv.data(), envp.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  output_ = std::make_unique<io::DescriptorWatch>(
      loop, io::FileDescriptor(ends[0]), [this] { read_lines(); }, [] {});
  output_->watch_read(true);
}

ChildProcess::~ChildProcess() {
  if (pid_ <= 0 || reaped_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void ChildProcess::terminate() {
  if (pid_ > 0 && !reaped_) ::kill(pid_, SIGTERM);
}

bool ChildProcess::ended() {
  if (!reaped_ && (pid_ <= 0 || ::waitpid(pid_, nullptr, WNOHANG) == pid_)) reaped_ = true;
  return reaped_;
}

void ChildProcess::read_lines() {
  char block[4096];
  const ssize_t got = ::read(output_->fd(), block, sizeof block);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) return output_->watch_read(false);
  partial_.append(block, static_cast<size_t>(got));
  for (size_t end; (end = partial_.find('\n')) != std::string::npos;) {
    const std::string line = partial_.substr(0, end);
    partial_.erase(0, end + 1);
    on_line_(line);
  }
  if (partial_.size() > kMaxLine) partial_.clear();
}

}  // namespace hg::app
