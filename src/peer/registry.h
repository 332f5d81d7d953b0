// Which keys this process listens on, by target.
#pragma once

#include <unordered_map>

#include "base/ids.h"

namespace hg::peer {

class ServerImpl;

class ServerRegistry {
 public:
  bool add(const Hash32& target, ServerImpl* server) { return servers_.emplace(target, server).second; }
  void remove(const Hash32& target) { servers_.erase(target); }
  ServerImpl* find(const Hash32& target) const {
    const auto found = servers_.find(target);
    return found == servers_.end() ? nullptr : found->second;
  }
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& [target, server] : servers_) visit(*server);
  }

 private:
  std::unordered_map<Hash32, ServerImpl*, ArrayHash> servers_;
};

}  // namespace hg::peer
