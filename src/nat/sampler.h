// What kind of NAT a punch socket is behind, from how DHT nodes see it (hyperdht 6.34 lib/nat).
//
//   add(our address as a node saw it, the node) … ─▶ firewall(): UNKNOWN → CONSISTENT | RANDOM
//
// One vote per node. A verdict needs three samples and may still change until freeze(). A node known to
// be reachable counts as OPEN from the start. One sampler per socket, owned by its puncher.
#pragma once

#include <optional>
#include <vector>

#include "base/endpoint.h"
#include "wire/hyperdht.h"

namespace hg::nat {

class Sampler {
 public:
  /// Samples after which an analysis is over whatever they say.
  static constexpr size_t kEnough = 4;

  explicit Sampler(bool firewalled) : firewalled_(firewalled), firewall_(firewalled ? wire::kFirewallUnknown : wire::kFirewallOpen) {}

  void add(const Endpoint& seen_as, const Endpoint& by);
  /// True when `by` has voted.
  bool has_voted(const Endpoint& by) const;

  size_t samples() const { return sampled_; }
  wire::Firewall firewall() const { return firewall_; }
  /// CONSISTENT: our addresses, most seen first; RANDOM: one, port 0; else nullopt.
  const std::optional<std::vector<Endpoint>>& addresses() const { return addresses_; }
  /// CONSISTENT or OPEN, or as many samples as will be waited for.
  bool settled() const;

  /// What was told to the other side must not change under it.
  void freeze() { frozen_ = true; }

  struct Record {
    Endpoint address;
    int hits = 0;
  };
  const std::vector<Record>& exact_records() const { return exact_; }

 private:
  void update_firewall();
  void update_addresses();

  bool firewalled_;
  bool frozen_ = false;
  size_t sampled_ = 0;
  wire::Firewall firewall_;
  std::vector<Record> exact_;
  std::vector<Record> hosts_;
  std::vector<Endpoint> voters_;
  std::optional<std::vector<Endpoint>> addresses_;
};

}  // namespace hg::nat
