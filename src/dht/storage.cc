#include "dht/storage.h"

#include "crypto/crypto.h"
#include "dht/signing.h"

namespace hg::dht {
namespace {

// npm hyperdht 6.34 lib/persistent
constexpr size_t kMaxRelayAddresses = 3;
constexpr size_t kMaxLookupRecords = 20;
constexpr uint64_t kMaxBumpDriftMs = 60'000;
constexpr ReplyOptions kBare{.token = false, .closer_nodes = false};

size_t value_cost(const Bytes& value) { return value.size(); }

/// A generation lives two thirds of the maximum age.
Duration generation(Duration max_age) { return max_age * 2 / 3; }

}  // namespace

Storage::Storage(Runtime& runtime, const Options& options)
    : runtime_(runtime),
      options_(options),
      routes_(options.max_records),
      records_(options.max_records, options.max_records_per_topic),
      bumps_(options.max_records),
      refreshes_(options.max_records),
      mutables_(options.max_values, options.max_value_bytes, value_cost),
      immutables_(options.max_values, options.max_value_bytes, value_cost),
      sweep_(runtime.timers(),
             [this] {
               routes_.age();
               records_.age();
               bumps_.age();
               refreshes_.age();
               sweep_.arm(runtime_.now() + generation(options_.max_age));
             }),
      value_sweep_(runtime.timers(), [this] {
        mutables_.age();
        immutables_.age();
        value_sweep_.arm(runtime_.now() + generation(options_.value_max_age));
      }) {
  sweep_.arm(runtime_.now() + generation(options_.max_age));
  value_sweep_.arm(runtime_.now() + generation(options_.value_max_age));
}

Storage::~Storage() = default;

bool Storage::handle(IncomingRequest& request, const Hash32& own_id) {
  switch (request.command) {
    case wire::kFindPeer:
    case wire::kLookup:
    case wire::kAnnounce:
    case wire::kUnannounce:
    case wire::kMutablePut:
    case wire::kMutableGet:
    case wire::kImmutablePut:
    case wire::kImmutableGet:
      break;
    default:
      return false;
  }
  if (!request.target) return true;
  switch (request.command) {
    case wire::kFindPeer:
      on_find_peer(request);
      break;
    case wire::kLookup:
      on_lookup(request);
      break;
    case wire::kMutableGet:
      on_mutable_get(request);
      break;
    case wire::kImmutableGet:
      on_immutable_get(request);
      break;
    default:
      if (!request.token || !request.value) break;
      if (request.command == wire::kAnnounce)
        on_announce(request, own_id);
      else if (request.command == wire::kUnannounce)
        on_unannounce(request, own_id);
      else if (request.command == wire::kMutablePut)
        on_mutable_put(request);
      else
        on_immutable_put(request);
  }
  return true;
}

std::optional<Bytes> Storage::peer_record(const Hash32& target) {
  if (const auto own = retained_.find(target); own != retained_.end()) return own->second;
  if (const Route* route = routes_.get(target)) return route->record;
  return std::nullopt;
}

void Storage::on_find_peer(IncomingRequest& request) { request.reply(peer_record(*request.target)); }

void Storage::on_lookup(IncomingRequest& request) {
  std::vector<Bytes> records = records_.sample(*request.target, kMaxLookupRecords, runtime_.rng());
  const auto self = peer_record(*request.target);
  if (self && records.size() < kMaxLookupRecords) records.push_back(*self);
  if (records.empty()) return request.reply(std::nullopt);
  const uint64_t* bump = bumps_.get(*request.target);
  request.reply(wire::encode_lookup_reply(records, bump == nullptr ? 0 : *bump));
}

void Storage::on_announce(IncomingRequest& request, const Hash32& own_id) {
  auto message = wire::decode_announce(*request.value);
  if (!message) return;
  if (!message->peer) {
    if (message->refresh) on_refresh(request, *message->refresh);
    return;
  }
  wire::Peer& peer = *message->peer;
  const auto signable = announce_signable(wire::kAnnounce, *request.target, own_id, *request.token, peer, message->refresh);
  if (!message->signature || !crypto::verify_detached(*message->signature, signable, peer.public_key)) return;
  if (peer.relay_addresses.size() > kMaxRelayAddresses) peer.relay_addresses.resize(kMaxRelayAddresses);

  Bytes record = wire::encode(peer);
  const bool self = hash_target(peer.public_key) == *request.target;
  const uint32_t host = request.from.address;
  if (message->refresh) refreshes_.set(*message->refresh, {*request.target, record, self}, host);
  if (!self) {
    const uint64_t* current = bumps_.get(*request.target);
    const bool newer = message->bump > (current == nullptr ? 0 : *current);
    if (newer && message->bump <= static_cast<uint64_t>(runtime_.wall_ms()) + kMaxBumpDriftMs)
      bumps_.set(*request.target, message->bump, host);
  }
  if (store_peer(*request.target, request.from, peer.public_key, std::move(record), self)) request.reply(std::nullopt, kBare);
}

bool Storage::store_peer(const Hash32& target, const Endpoint& from, const PublicKey& key, Bytes record, bool self) {
  if (!self) return records_.add(target, key, std::move(record), from.address, runtime_.rng());
  if (!retained_.contains(target) && !routes_.set(target, {from, std::move(record)}, from.address)) return false;
  records_.remove(target, key);
  return true;
}

/// A hash chain instead of a signature: revealing the preimage of what was announced renews the record.
void Storage::on_refresh(IncomingRequest& request, const Hash32& refresh) {
  const Hash32 announced = hash_target(refresh);
  const Refresh* known = refreshes_.get(announced);
  if (known == nullptr) return;
  const Refresh entry = *known;
  PublicKey key;
  std::memcpy(key.data(), entry.record.data(), key.size());
  if (!store_peer(entry.target, request.from, key, entry.record, entry.self)) return;
  refreshes_.erase(announced);
  refreshes_.set(refresh, entry, request.from.address);
  request.reply(std::nullopt, kBare);
}

void Storage::on_unannounce(IncomingRequest& request, const Hash32& own_id) {
  const auto message = wire::decode_announce(*request.value);
  if (!message || !message->peer || !message->signature) return;
  const auto signable = announce_signable(wire::kUnannounce, *request.target, own_id, *request.token, *message->peer, message->refresh);
  if (!crypto::verify_detached(*message->signature, signable, message->peer->public_key)) return;
  unannounce(*request.target, message->peer->public_key);
  request.reply(std::nullopt, kBare);
}

void Storage::on_mutable_get(IncomingRequest& request) {
  if (!request.value) return;
  const auto min_seq = wire::decode_uint(*request.value);
  if (!min_seq) return;
  const Bytes* value = mutables_.use(*request.target);
  if (value == nullptr || wire::decode_uint(*value).value_or(0) < *min_seq) return request.reply(std::nullopt);
  request.reply(*value);
}

void Storage::on_mutable_put(IncomingRequest& request) {
  const auto put = wire::decode_mutable_put(*request.value);
  if (!put || hash_target(put->public_key) != *request.target) return;
  if (!crypto::verify_detached(put->signature, mutable_signable(put->seq, put->value), put->public_key)) return;
  if (const Bytes* stored = mutables_.get(*request.target)) {
    const auto existing = wire::decode_mutable_record(*stored);
    if (existing && existing->seq == put->seq && existing->value != put->value) return request.error(wire::kErrorSeqReused);
    if (existing && put->seq < existing->seq) return request.error(wire::kErrorSeqTooLow);
  }
  Bytes record = wire::encode(wire::MutableRecord{put->seq, put->value, put->signature});
  if (mutables_.set(*request.target, std::move(record), request.from.address)) request.reply(std::nullopt);
}

void Storage::on_immutable_get(IncomingRequest& request) {
  const Bytes* value = immutables_.use(*request.target);
  request.reply(value == nullptr ? std::nullopt : std::optional<Bytes>(*value));
}

void Storage::on_immutable_put(IncomingRequest& request) {
  if (hash_target(*request.value) != *request.target) return;
  if (immutables_.set(*request.target, *request.value, request.from.address)) request.reply(std::nullopt);
}

std::optional<Route> Storage::find_route(const Hash32& target) {
  const Route* route = routes_.get(target);
  if (route == nullptr) return std::nullopt;
  return *route;
}

void Storage::retain(const Hash32& target, Bytes record) {
  retained_[target] = std::move(record);
  routes_.erase(target);
}

void Storage::release(const Hash32& target) { retained_.erase(target); }

void Storage::unannounce(const Hash32& target, const PublicKey& key) {
  if (hash_target(key) == target) routes_.erase(target);
  records_.remove(target, key);
}

size_t Storage::record_count() const { return records_.size(); }
size_t Storage::route_count() const { return routes_.size(); }
size_t Storage::value_count() const { return mutables_.size() + immutables_.size(); }

}  // namespace hg::dht
