#include "peer/context.h"

namespace hg::peer {

void RelayCache::set(const PublicKey& key, std::vector<Endpoint> nodes) {
  if (nodes.empty()) return;
  const auto [at, is_new] = entries_.insert_or_assign(key, std::move(nodes));
  if (!is_new) return;
  order_.push_back(key);
  if (order_.size() <= kMax) return;
  entries_.erase(order_.front());
  order_.pop_front();
}

std::vector<Endpoint> RelayCache::get(const PublicKey& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? std::vector<Endpoint>{} : found->second;
}

std::vector<Endpoint> Context::local_addresses() const {
  const uint16_t port = node.server_port();
  const uint32_t bound = node.options().bind_host;
  if (bound != 0) return {{bound, port}};
  std::vector<Endpoint> out;
  for (const uint32_t address : runtime.network().interface_addresses()) out.push_back({address, port});
  if (out.empty()) out.push_back(Endpoint::loopback(port));
  return out;
}

}  // namespace hg::peer
