#include "swarm/relay_book.h"

#include <algorithm>
#include <vector>

namespace hg::swarm {

bool RelayBook::set(const PublicKey& peer, noise::SecureConnection* connection, const std::optional<PublicKey>& relay) {
  if (!relay || connection == nullptr) {
    forget(peer);
    return false;
  }
  Entry& entry = entries_[peer];
  const bool is_new = entry.relay != *relay || entry.connection != connection;
  entry = {*relay, connection};
  return is_new;
}

std::optional<PublicKey> RelayBook::choose(const PublicKey& target, size_t tries, const std::optional<PublicKey>& doubtful) const {
  std::vector<std::pair<Duration, const Entry*>> found;
  for (const auto& [peer, entry] : entries_)
    if (peer != target && entry.relay != target && entry.usable()) found.emplace_back(entry.connection->stats().smoothed_rtt, &entry);
  if (found.empty()) return std::nullopt;
  const auto rank = [&](const auto& one) { return std::tuple(one.second->relay == doubtful, one.first, one.second->relay); };
  std::sort(found.begin(), found.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return found[tries % std::min(found.size(), kMaxTried)].second->relay;
}

noise::SecureConnection* RelayBook::connection_to(const PublicKey& relay) const {
  for (const auto& [peer, entry] : entries_)
    if (entry.relay == relay && entry.usable()) return entry.connection;
  return nullptr;
}

}  // namespace hg::swarm
