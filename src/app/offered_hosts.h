// The hosts for which remote providers have services. A provider that fell silent takes back its routes after a while, and with them no
// host: open channels wait for it, those of helper gateways too, until its session is lost. Owned by DockerMode. One thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tunnel/node.h"

namespace hg::app {

class OfferedHosts {
 public:
  /// `peers`: as they are now.
  std::set<std::string> of(const std::vector<tunnel::PeerInfo>& peers) {
    std::map<PublicKey, std::set<std::string>> now;
    std::set<std::string> all;
    for (const tunnel::PeerInfo& peer : peers) {
      std::set<std::string>& hosts = now[peer.key];
      for (const tunnel::Service& service : peer.offers) hosts.insert(service.service_host);
      if (!peer.answering) hosts.merge(by_peer_[peer.key]);
      all.insert(hosts.begin(), hosts.end());
    }
    by_peer_ = std::move(now);
    return all;
  }

 private:
  std::map<PublicKey, std::set<std::string>> by_peer_;
};

}  // namespace hg::app
