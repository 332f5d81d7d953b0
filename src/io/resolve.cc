#include "io/local_udp.h"
#include "io/resolver.h"

namespace hg::io {

void resolve_host(Loop& loop, const std::string& host, uint16_t port, ResolveCallback callback) {
  if (const auto numeric = SocketAddress::parse(host, port)) {
    loop.post([address = *numeric, callback = std::move(callback)] { callback(std::vector<SocketAddress>{address}); });
    return;
  }
  loop.resolver().resolve(host, port, std::move(callback));
}

}  // namespace hg::io
