#include "swarm/relay_book.h"

#include <algorithm>
#include <tuple>
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
  const auto own = network_.interface_addresses();
  const auto neighbour = [&](uint32_t address) {
    return std::any_of(own.begin(), own.end(), [&](uint32_t one) { return (one ^ address) >> kHostBits == 0; });
  };
  std::vector<std::tuple<bool, bool, Duration, PublicKey>> found;  // the first is the best
  for (const auto& [peer, entry] : entries_) {
    if (peer == target || entry.relay == target || !entry.usable()) continue;
    found.emplace_back(entry.relay == doubtful || !entry.connection->answering(), neighbour(entry.connection->path().remote.address),
                       entry.connection->stats().smoothed_rtt, entry.relay);
  }
  if (found.empty()) return std::nullopt;
  std::sort(found.begin(), found.end());
  return std::get<PublicKey>(found[tries % std::min(found.size(), kMaxTried)]);
}

noise::SecureConnection* RelayBook::connection_to(const PublicKey& relay) const {
  for (const auto& [peer, entry] : entries_)
    if (entry.relay == relay && entry.usable()) return entry.connection;
  return nullptr;
}

}  // namespace hg::swarm
