#include "link/control.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace hg::link {

namespace {

std::string to_json(const LaneCounters& c) {
  return fmt::format(
      R"({{"packets_offered":{},"bytes_offered":{},"packets_delivered":{},"bytes_delivered":{},"bytes_pending":{},)"
      R"("dropped_queue":{},"dropped_loss":{},"dropped_mtu":{},"dropped_ttl":{},"packets_reordered":{},"packets_duplicated":{}}})",
      c.packets_offered, c.bytes_offered, c.packets_delivered, c.bytes_delivered, c.bytes_pending, c.dropped_queue, c.dropped_loss,
      c.dropped_mtu, c.dropped_ttl, c.packets_reordered, c.packets_duplicated);
}

}  // namespace

std::string answer(Link& link, const std::string& command) {
  const size_t space = command.find(' ');
  const std::string verb = command.substr(0, space);
  const std::string argument = space == std::string::npos ? "" : command.substr(space + 1);
  if (verb == "counters") return fmt::format(R"({{"ab":{},"ba":{}}})", to_json(link.ab.counters()), to_json(link.ba.counters()));
  char* end = nullptr;
  const double value = std::strtod(argument.c_str(), &end);
  const bool number = !argument.empty() && *end == '\0';
  if (verb == "mtu" && number && value >= 68 && value <= 65535) {  // RFC 791: every link takes 68
    for (Lane* lane : {&link.ab, &link.ba}) lane->set_mtu(static_cast<size_t>(value));
  } else if (verb == "loss" && number && value >= 0 && value <= 100) {
    for (Lane* lane : {&link.ab, &link.ba}) lane->set_loss(value / 100);
  } else {
    return R"({"error":"commands: counters, mtu BYTES, loss PERCENT"})";
  }
  return R"({"ok":true})";
}

Expected<void> Control::listen(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{"CONTROL", "the control socket's path is too long"};
  std::memcpy(address.sun_path, path.data(), path.size());
  listener_ = io::FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  ::unlink(path.c_str());
  if (!listener_.valid() || ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener_.get(), kMaxClients) != 0)
    return Error{"CONTROL", "cannot listen on " + path + ": " + std::strerror(errno)};
  return {};
}

std::vector<int> Control::descriptors() const {
  std::vector<int> out{listener_.get()};
  for (const Client& client : clients_) out.push_back(client.fd.get());
  return out;
}

void Control::on_readable(int descriptor) {
  if (descriptor == listener_.get()) return accept_client();
  std::erase_if(clients_, [&](Client& client) { return client.fd.get() == descriptor && !serve(client); });
}

void Control::accept_client() {
  io::FileDescriptor fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd.valid() && clients_.size() < kMaxClients) clients_.push_back({std::move(fd), {}});
}

bool Control::serve(Client& client) {
  char bytes[kMaxLine];
  const ssize_t count = ::recv(client.fd.get(), bytes, sizeof bytes, 0);
  if (count <= 0) return count < 0 && errno == EAGAIN;
  client.line.append(bytes, static_cast<size_t>(count));
  for (size_t end; (end = client.line.find('\n')) != std::string::npos; client.line.erase(0, end + 1)) {
    const std::string reply = answer(link_, client.line.substr(0, end)) + "\n";
    if (::send(client.fd.get(), reply.data(), reply.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(reply.size())) return false;
  }
  return client.line.size() <= kMaxLine;
}

}  // namespace hg::link
