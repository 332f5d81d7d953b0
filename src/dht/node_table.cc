// Upkeep of the routing table and of what others tell about our address (npm dht-rpc 6.27).
#include <algorithm>

#include "base/log.h"
#include "dht/node_internals.h"
#include "dht/private_address.h"

namespace hg::dht {
namespace {

// Ticks of 5 s; npm dht-rpc 6.27.
constexpr uint64_t kRecentTicks = 12;
constexpr uint64_t kOldTicks = 360;
constexpr size_t kMaxRepings = 3;
/// Samples after a network change before they replace what was believed.
constexpr size_t kEnoughNewSamples = 3;
constexpr size_t kMaxVotes = 16;  // npm nat-sampler 1.0: samples that count

/// How many votes a table can give: a public host has one, however many nodes it runs.
size_t voices(const RoutingTable& table) {
  std::unordered_set<uint32_t> hosts;
  size_t count = 0;
  for (const Contact& contact : table.by_age())
    if (is_private(contact.address.address) || hosts.insert(contact.address.address).second) count++;
  return count;
}

}  // namespace

bool Node::filtered(const Endpoint& address) {
  // npm hyperdht 6.34 filterNode: nodes of a testnet that got mixed in.
  static const Endpoint kStray[] = {{0x86d11c62, 49738}, {0xa7638eb9, 49738}, {0x23e92ffc, 9400}};
  constexpr uint32_t kStrayHost = 0x96888e74;
  return address.address == kStrayHost || std::find(std::begin(kStray), std::end(kStray), address) != std::end(kStray);
}

void Node::learn(const Endpoint& from, const std::optional<Hash32>& id, const Endpoint& to, bool sample) {
  if (filtered(from)) return;
  if (!id) {
    if (sample) add_sample_without_id(from, to);
    return;
  }
  const uint64_t tick = internals_->tick;
  Contact* known = table_.find(*id);
  if (known == nullptr) {
    Contact contact{.id = *id, .address = from, .sampled = sample ? tick : 0, .added = tick, .pinged = tick, .seen = tick};
    const auto added = table_.add(contact);
    if (added == RoutingTable::Added::kYes && sample) add_nat_sample(from, to);
    if (added == RoutingTable::Added::kBucketFull) on_bucket_full(contact);
    return;
  }
  if (sample && (known->sampled == 0 || tick - known->sampled >= kOldTicks)) {
    known->sampled = tick;
    add_nat_sample(from, to);
  }
  known->pinged = known->seen = tick;
  table_.touch(*id);
}

void Node::add_sample_without_id(const Endpoint& from, const Endpoint& to) {
  auto& known = internals_->samples_without_id;
  if (known.size() >= std::max<size_t>(1, options_.bootstrap.size()) || std::find(known.begin(), known.end(), from) != known.end()) return;
  known.push_back(from);
  add_nat_sample(from, to);
}

void Node::remove_contact(const Hash32& id) {
  const Contact* contact = table_.find(id);
  if (contact == nullptr) return;
  if (internals_->bootstrap) internals_->bootstrap->remember(contact->address);
  table_.remove(id);
}

void Node::on_bucket_full(const Contact& candidate) {
  if (!ready_ || internals_->repinging >= kMaxRepings) return;
  const uint64_t tick = internals_->tick;
  const Contact* oldest = nullptr;
  for (const auto& contact : table_.bucket(table_.bucket_of(candidate.id))) {
    if (contact->pinged == tick) continue;
    if (oldest == nullptr || std::tie(contact->pinged, contact->added) < std::tie(oldest->pinged, oldest->added)) oldest = &*contact;
  }
  if (oldest == nullptr || (tick - oldest->pinged < kRecentTicks && tick - oldest->added > kOldTicks)) return;
  ping_and_replace(candidate, *oldest);
}

void Node::ping_and_replace(const Contact& candidate, const Contact& old) {
  table_.find(old.id)->pinged = internals_->tick;
  internals_->repinging++;
  ping(old.address, [this, candidate, id = old.id, last_seen = old.seen](Expected<Response> answer) {
    internals_->repinging--;
    if (closed_) return;
    const Contact* contact = table_.find(id);
    if (answer && contact != nullptr && contact->seen > last_seen) return;
    remove_contact(id);
    Contact fresh = candidate;
    fresh.sampled = 0;
    fresh.added = fresh.pinged = fresh.seen = internals_->tick;
    table_.add(fresh);
  }).detach();
}

void Node::check(Contact& contact) {
  contact.pinged = internals_->tick;
  internals_->checks++;
  ping(contact.address, [this, id = contact.id](Expected<Response> answer) {
    internals_->checks--;
    if (!closed_ && (!answer || answer->id != id)) remove_contact(id);
  }).detach();
}

void Node::ping_some() {
  auto& order = table_.by_age();
  if (order.empty()) return refresh();
  const uint64_t tick = internals_->tick;
  size_t count = busy() ? 3 : 5;
  if (tick - order.front().pinged < kRecentTicks) count = 2;
  std::vector<Hash32> chosen;
  for (const Contact& contact : order) {
    if (chosen.size() == count || contact.pinged == tick) break;
    chosen.push_back(contact.id);
  }
  for (const Hash32& id : chosen)
    if (Contact* contact = table_.find(id)) check(*contact);
}

/// A node may be alive though the peer behind it, to whom it passed the request on, is not: it is asked itself.
void Node::on_request_timeout(const Endpoint& to, bool passed_on) {
  if (passed_on) {
    Contact* contact = table_.find(node_id(to));
    if (contact != nullptr && contact->pinged < internals_->tick && internals_->checks < kMaxChecks) check(*contact);
    return;
  }
  remove_contact(node_id(to));
  if (internals_->bootstrap) internals_->bootstrap->note_silent(to);
}

/// A host has one voice.
bool Node::may_vote(const Endpoint& voter) {
  if (is_private(voter.address)) return true;
  auto& votes = internals_->votes;
  const uint64_t tick = internals_->tick;
  if (std::any_of(votes.begin(), votes.end(), [&](const auto& v) { return v.host == voter.address && tick - v.tick < kOldTicks; }))
    return false;
  if (votes.size() == kMaxVotes) votes.pop_front();
  votes.push_back({voter.address, tick});
  return true;
}

/// A router that gets another public address, or maps our port anew, changes none of our interfaces, and we would go on telling everybody
/// the old address. Those who answer us see it at once, long before each of them has its next vote.
void Node::note_seen_at(const Endpoint& by, const Endpoint& seen_as) {
  Internals& in = *internals_;
  if (!in.open_at || in.next_nat || is_private(seen_as.address) != is_private(in.open_at->address)) return;
  if (seen_as == *in.open_at) return in.elsewhere.clear();
  in.elsewhere.insert(is_private(by.address) ? by : Endpoint{by.address, 0});
  if (in.elsewhere.size() < std::min(kEnoughNewSamples, voices(table_))) return;
  HG_LOG(kInfo, "dht", "others see us at {} now", seen_as.to_string());
  resample_address();
}

void Node::add_nat_sample(const Endpoint& voter, const Endpoint& seen_as) {
  if (!may_vote(voter)) return;
  NatSampler& nat = *internals_->nat;
  const bool was_known = nat.known();
  const Endpoint before = nat.address();
  nat.add(seen_as);
  if (internals_->next_nat) {
    internals_->next_nat->add(seen_as);
    if (internals_->next_nat->size() >= std::min(kEnoughNewSamples, voices(table_))) return adopt_new_address();
  }
  if (was_known != nat.known() || before != nat.address()) notify([](NodeListener& l) { l.on_nat_update(); });
}

}  // namespace hg::dht
