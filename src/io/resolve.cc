#include <netdb.h>

#include "io/local_udp.h"

namespace hg::io {

namespace {

Expected<std::vector<SocketAddress>> lookup(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const int failed = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (failed != 0) return Error{"ENOTFOUND", "cannot resolve " + host + ": " + gai_strerror(failed)};
  std::vector<SocketAddress> out;
  for (const addrinfo* i = list; i != nullptr; i = i->ai_next) {
    SocketAddress address(i->ai_addr, i->ai_addrlen);
    address.set_port(port);
    out.push_back(address);
  }
  freeaddrinfo(list);
  if (out.empty()) return Error{"ENOTFOUND", "cannot resolve " + host};
  return out;
}

}  // namespace

void resolve_host(Loop& loop, const std::string& host, uint16_t port, std::function<void(Expected<std::vector<SocketAddress>>)> callback) {
  if (const auto numeric = SocketAddress::parse(host, port)) {
    loop.post([address = *numeric, callback = std::move(callback)] { callback(std::vector<SocketAddress>{address}); });
    return;
  }
  auto found = std::make_shared<Expected<std::vector<SocketAddress>>>(Error{"ENOTFOUND", "cannot resolve " + host});
  loop.run_blocking([found, host, port] { *found = lookup(host, port); },
                    [found, callback = std::move(callback)] { callback(std::move(*found)); });
}

}  // namespace hg::io
