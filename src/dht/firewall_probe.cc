#include "dht/firewall_probe.h"

#include <algorithm>

namespace hg::dht {
namespace {

// npm dht-rpc 6.27 _checkIfFirewalled
constexpr size_t kAsked = 5;
constexpr size_t kEnough = 3;
constexpr size_t kEnoughOfFew = 1;

}  // namespace

FirewallProbe::FirewallProbe(Node& node, uint32_t known_host, Done done) : node_(node), known_host_(known_host), done_(std::move(done)) {
  nodes_ = node.recent_nodes(kAsked);
  if (nodes_.size() >= kAsked) {
    ask(nodes_);
    return;
  }
  resolution_ = node.resolve_bootstrap(
      [this](const Endpoint& found) {
        if (std::find(nodes_.begin(), nodes_.end(), found) == nodes_.end()) nodes_.push_back(found);
      },
      [this] { ask(nodes_); });
}

void FirewallProbe::ask(std::vector<Endpoint> nodes) {
  pending_ = nodes.size();
  if (nodes.empty()) return conclude();
  const uint16_t port = node_.server_port();
  for (const Endpoint& to : nodes) {
    Command command{.command = wire::kPingNat, .internal = true};
    command.value = Bytes{static_cast<uint8_t>(port & 0xff), static_cast<uint8_t>(port >> 8)};
    requests_.push_back(node_.request(to, std::move(command), [this](Expected<Response> answer) { on_answer(answer); }));
  }
}

void FirewallProbe::on_answer(const Expected<Response>& answer) {
  if (answer && answer->socket == &node_.server_socket()) {
    ++arrived_;
    sampler_->add(answer->to);
  }
  if (--pending_ == 0) conclude();
}

void FirewallProbe::conclude() {
  const size_t enough = nodes_.size() >= kAsked ? kEnough : kEnoughOfFew;
  const bool open =
      !nodes_.empty() && arrived_ >= enough && sampler_->known() && sampler_->address() == Endpoint{known_host_, node_.server_port()};
  const Done done = std::move(done_);
  done(open ? std::move(sampler_) : nullptr);
}

}  // namespace hg::dht
