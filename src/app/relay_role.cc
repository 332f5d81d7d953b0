#include "app/relay_role.h"

#include <algorithm>

#include "base/log.h"
#include "crypto/crypto.h"

namespace hg::app {
namespace {

constexpr Duration kReviewEvery = 5s;  // an address that became known or lost its port is no event of its own
constexpr uint64_t kBitsPerByte = 8;

void add(peer::BlindRelayCounters& sum, const peer::BlindRelayCounters& more) {
  sum.sessions += more.sessions;
  sum.refused += more.refused;
  sum.malformed += more.malformed;
  sum.pairs += more.pairs;
  sum.traffic.packets += more.traffic.packets;
  sum.traffic.bytes += more.traffic.bytes;
  sum.traffic.dropped += more.traffic.dropped;
  sum.traffic.foreign += more.traffic.foreign;
}

}  // namespace

RelayRole::RelayRole(io::Loop& loop, Network& network, tunnel::Node& node, uint64_t bandwidth)
    : loop_(loop), network_(network), node_(node), bandwidth_(bandwidth), review_(loop.timers(), [this] { review(); }) {
  network_.dht().add_listener(this);
  review();
}

RelayRole::~RelayRole() { network_.dht().remove_listener(this); }

bool RelayRole::reachable() const {
  if (network_.dht().remote_address()) return true;
  const auto seen_as = network_.dht().external_address();
  return seen_as && seen_as->port != 0;
}

void RelayRole::review() {
  if (stopping_) return;
  review_.arm(loop_.now() + kReviewEvery);
  if (!network_.dht().ready() || reachability_.review(reachable(), loop_.now()) == (server_ != nullptr)) return;
  server_ ? retire() : serve();
}

void RelayRole::serve() {
  peer::BlindRelayOptions options;
  options.key_pair = crypto::random_key_pair(crypto::system_rng());
  options.admit = [this](const PublicKey& key) { return node_.is_member(key); };
  options.total_rate = std::max<uint64_t>(1, bandwidth_ / kBitsPerByte);
  options.pair_rate = std::max<uint64_t>(1, options.total_rate / 2);
  auto served = network_.host().serve_relay(std::move(options));
  if (!served) return;
  server_ = std::move(*served);
  HG_LOG(kInfo, "relay", "relaying for members that reach each other in no other way, as {}, up to {} Mbit/s",
         to_hex(ByteView(server_->public_key()).first(4)), static_cast<double>(bandwidth_) / 1e6);
  node_.set_relay(server_->public_key());
}

void RelayRole::retire() {
  HG_LOG(kInfo, "relay", "no longer reachable: not relaying");
  node_.set_relay(std::nullopt);
  add(former_, server_->counters());
  server_.reset();
}

RelayFigures RelayRole::figures() const {
  RelayFigures out{server_ != nullptr, 0, former_};
  if (!server_) return out;
  out.open_pairs = server_->open_pairs();
  add(out.totals, server_->counters());
  return out;
}

void RelayRole::stop(std::function<void()> done) {
  stopping_ = true;
  review_.disarm();
  if (!server_) return loop_.post(std::move(done));
  server_->close(std::move(done));
}

}  // namespace hg::app
