// Connections that nobody has confirmed. Who knows a topic, and that is no secret, can connect with any number of keys: such connections
// must not take the members' place, nor does their end make us look for others. Nor may keys that are announced and lead nowhere keep us
// from the others.
#include <algorithm>

#include "nat/address.h"
#include "swarm/swarm_impl.h"

namespace hg::swarm {
void Swarm::Impl::confirm(const PublicKey& key) {
  const auto found = links_.find(key);
  if (found == links_.end() || found->second.connection == nullptr) return;
  found->second.confirmed = true;
  if (const auto record = records_.find(key); record != records_.end()) record->second.proven = true;
}

size_t Swarm::Impl::confirmed_links() const {
  return static_cast<size_t>(std::count_if(links_.begin(), links_.end(), [](const auto& l) { return l.second.confirmed; }));
}

bool Swarm::Impl::room_for_client() const {
  const TimePoint slow = runtime_.now() - kSlow;
  const auto quick = std::count_if(links_.begin(), links_.end(), [&](const auto& l) { return l.second.attempt && l.second.since > slow; });
  return static_cast<size_t>(quick) < options_.max_parallel && connecting_ < kMaxConnecting &&
         confirmed_links() + connecting_ < options_.max_peers;
}

void Swarm::Impl::arm_slow_timer() {
  std::optional<TimePoint> next;
  for (const auto& [key, link] : links_)
    if (link.attempt && link.since + kSlow > runtime_.now() && (!next || link.since + kSlow < *next)) next = link.since + kSlow;
  if (next) slow_timer_.arm(*next);
}

void Swarm::Impl::make_room(const noise::SecureConnection& newcomer, bool client) {
  const uint32_t host = newcomer.path().remote.address;
  Link* oldest = nullptr;
  Link* oldest_of_host = nullptr;
  size_t all = 0;
  size_t of_host = 0;
  const auto count = [](Link& link, size_t& number, Link*& first) {
    number++;
    if (first == nullptr || link.since < first->since) first = &link;
  };
  for (auto& [key, link] : links_) {
    if (link.connection == nullptr || link.confirmed || link.crowded_out || link.client != client) continue;
    count(link, all, oldest);
    if (link.connection->path().remote.address == host) count(link, of_host, oldest_of_host);
  }
  const bool many_of_host = !client && of_host >= kMaxStrangersPerHost && !nat::is_private(host);
  if (!many_of_host && all < kMaxStrangers) return;
  Link& leaves = many_of_host ? *oldest_of_host : *oldest;
  leaves.crowded_out = true;
  leaves.connection->destroy(Error{"TOO_MANY_STRANGERS", "too many connections that have not shown to belong here"});
}

}  // namespace hg::swarm
