#include "io/resolver.h"

#include <fcntl.h>
#include <netdb.h>

#include <cerrno>

#include "io/file_descriptor.h"

namespace hg::io {

namespace {

bool is_of_descriptors(int number) { return number == EMFILE || number == ENFILE; }

/// Without a descriptor for its files, sockets and modules getaddrinfo says the same as of an unknown name, and a module that it could not
/// load (hosts: files mdns4_minimal dns) hides the errno.
bool out_of_descriptors() {
  if (is_of_descriptors(errno)) return true;
  const FileDescriptor any(::open("/", O_PATH | O_CLOEXEC));
  return !any.valid() && is_of_descriptors(errno);
}

Expected<std::vector<SocketAddress>> look_up(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  errno = 0;
  const int failed = getaddrinfo(name.c_str(), nullptr, &hints, &list);
  if (failed != 0 && out_of_descriptors()) return errno_error(EMFILE, "cannot resolve " + name);
  if (failed != 0) return Error{"ENOTFOUND", "cannot resolve " + name + ": " + gai_strerror(failed)};
  std::vector<SocketAddress> out;
  for (const addrinfo* i = list; i != nullptr; i = i->ai_next) out.emplace_back(i->ai_addr, i->ai_addrlen);
  freeaddrinfo(list);
  if (out.empty()) return Error{"ENOTFOUND", "cannot resolve " + name};
  return out;
}

}  // namespace

void Resolver::resolve(const std::string& name, uint16_t port, Callback callback) {
  const bool asked = waiting_.contains(name);
  if (!asked && waiting_.size() >= kMaxNames) return callback(Error{"EBUSY", "cannot resolve " + name + ": too many names at a time"});
  waiting_[name].push_back({port, std::move(callback)});
  if (asked) return;
  const auto found = std::make_shared<Expected<std::vector<SocketAddress>>>(Error{"ENOTFOUND", "cannot resolve " + name});
  helpers_.run([found, name] { *found = look_up(name); }, [this, found, name] { answer(name, *found); });
}

void Resolver::answer(const std::string& name, const Expected<std::vector<SocketAddress>>& found) {
  const auto entry = waiting_.extract(name);
  for (const Waiting& one : entry.mapped()) {
    auto addresses = found;
    if (addresses)
      for (SocketAddress& address : *addresses) address.set_port(one.port);
    one.callback(std::move(addresses));
  }
}

}  // namespace hg::io
