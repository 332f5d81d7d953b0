// Whether strangers can reach our server socket (npm dht-rpc 6.27 _checkIfFirewalled).
//
// Asks up to five nodes PING_NAT with our server port; their replies go to that port. Open if enough of
// them (3, or 1 when fewer than 5 were asked) physically arrive on the server socket, agree on our host with what is
// known, and see the port we are bound to. Owned by the node; `done` runs once: the sampler of the replies if open, nullptr if
// firewalled. Destroying it cancels.
#pragma once

#include <memory>

#include "dht/nat_sampler.h"
#include "dht/node.h"

namespace hg::dht {

class FirewallProbe {
 public:
  using Done = std::function<void(std::unique_ptr<NatSampler>)>;
  FirewallProbe(Node& node, uint32_t known_host, Done done);

 private:
  void ask(std::vector<Endpoint> nodes);
  void on_answer(const Expected<Response>& answer);
  void conclude();

  Node& node_;
  uint32_t known_host_;
  Done done_;
  std::unique_ptr<NatSampler> sampler_ = std::make_unique<NatSampler>();
  std::vector<RequestHandle> requests_;
  std::vector<Endpoint> nodes_;
  std::shared_ptr<void> resolution_;
  size_t pending_ = 0;
  size_t arrived_ = 0;
};

}  // namespace hg::dht
