// The swarm's use of relays: offered with each attempt as soon as one is known; an attempt that failed for want of a path is repeated
// at once through one, a few times.
#include <algorithm>
#include <array>
#include <vector>

#include "base/log.h"
#include "swarm/swarm_impl.h"

namespace hg::swarm {
namespace {

/// Failures of the path, not of the peer. npm hyperswarm 4.17 counts the first four; the others are what its peers run into later.
bool relay_would_help(const std::string& code) {
  static constexpr std::array<std::string_view, 12> kCodes{"HOLEPUNCH_ABORTED",
                                                           "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS",
                                                           "CANNOT_HOLEPUNCH",
                                                           "REMOTE_NOT_HOLEPUNCHABLE",
                                                           "REMOTE_NOT_HOLEPUNCHING",
                                                           "REMOTE_ABORTED",
                                                           "HOLEPUNCH_PROBE_TIMEOUT",
                                                           "REQUEST_TIMEOUT",
                                                           "BAD_HOLEPUNCH_REPLY",
                                                           "RELAY_ABORTED",
                                                           "ETIMEDOUT",
                                                           "TRY_LATER"};
  return std::find(kCodes.begin(), kCodes.end(), code) != kCodes.end();
}

}  // namespace

void Swarm::Impl::plan_relay(PeerRecord& record, Link& link, peer::ConnectOptions& options) {
  options.relay_through = relays_.choose(record.key, static_cast<size_t>(record.relay_tries));
  link.relay_offered = options.relay_through.has_value();
  if (link.relay_offered && record.relay_first) options.relaying = peer::Relaying::kFirst;
}

void Swarm::Impl::after_failure(const PublicKey& key, const Error& error, bool relay_offered) {
  const auto found = records_.find(key);
  if (found == records_.end()) return;
  PeerRecord& record = found->second;
  // What was tried through a relay first and failed is tried the other way next: the network may have changed.
  record.relay_first = relay_would_help(error.code) && !(relay_offered && record.relay_first);
  if (relay_offered) record.relay_tries++;
  const bool at_once = relay_would_help(error.code) && record.relay_tries < kRelayTries && relays_.choose(key, 0);
  if (!at_once) return;
  if (!relay_offered) record.relay_tries++;
  record.retry_at = runtime_.now();
  arm_retry();
}

void Swarm::Impl::set_relay(const PublicKey& peer, const std::optional<PublicKey>& relay) {
  const auto link = links_.find(peer);
  if (!relays_.set(peer, link == links_.end() ? nullptr : link->second.connection, relay)) return;
  HG_LOG(kDebug, "swarm", "{} relays as {}", to_hex(ByteView(peer).first(4)), to_hex(ByteView(*relay).first(4)));
  for (auto& [key, record] : records_) {
    if (!record.relay_first || links_.contains(key)) continue;
    record.relay_tries = 0;
    record.retry_at = runtime_.now();
  }
  arm_retry();
  if (!relay_timer_.armed()) relay_timer_.arm(runtime_.now() + kRelayPatience);
}

void Swarm::Impl::restart_without_relay() {
  std::vector<PublicKey> late;
  for (const auto& [key, link] : links_) {
    if (!link.attempt || link.relay_offered || link.attempt->heard() || link.spare) continue;
    if (relays_.choose(key, 0)) late.push_back(key);
  }
  for (const PublicKey& key : late) {
    const auto record = records_.find(key);
    if (record == records_.end()) continue;
    links_.erase(key);
    connecting_--;
    record->second.relay_first = true;
    enqueue(record->second);
  }
}

std::optional<PublicKey> Swarm::Impl::relay_for_client(const PublicKey& client) const {
  const auto record = records_.find(client);
  const auto seen_as = host_.node().external_address();
  const bool randomized = seen_as && seen_as->port == 0;
  if (!randomized && (record == records_.end() || !record->second.relay_first)) return std::nullopt;
  return relays_.choose(client, record == records_.end() ? 0 : static_cast<size_t>(record->second.relay_tries));
}

std::optional<peer::DirectPath> Swarm::Impl::path_to(const PublicKey& relay) {
  const noise::SecureConnection* connection = relays_.connection_to(relay);
  if (connection == nullptr) return std::nullopt;
  const auto path = connection->path();
  return peer::DirectPath{path.socket, path.remote};
}

}  // namespace hg::swarm
