#include "dht/routing_table.h"

#include <algorithm>
#include <bit>

namespace hg::dht {

size_t RoutingTable::bucket_of(const Hash32& id) const {
  for (size_t i = 0; i < id.size(); ++i)
    if (id[i] != id_[i]) return i * 8 + static_cast<size_t>(std::countl_zero(static_cast<uint8_t>(id[i] ^ id_[i])));
  return kBuckets - 1;
}

RoutingTable::Bucket::iterator RoutingTable::position(Bucket& bucket, const Hash32& id) {
  return std::lower_bound(bucket.begin(), bucket.end(), id, [](const auto& contact, const Hash32& wanted) { return contact->id < wanted; });
}

RoutingTable::Added RoutingTable::add(const Contact& contact) {
  if (contact.id == id_) return Added::kSelf;
  Bucket& bucket = buckets_[bucket_of(contact.id)];
  const auto at = position(bucket, contact.id);
  if (at != bucket.end() && (*at)->id == contact.id) return Added::kKnown;
  if (bucket.size() >= kBucketSize) return Added::kBucketFull;
  order_.push_back(contact);
  bucket.insert(at, std::prev(order_.end()));
  return Added::kYes;
}

bool RoutingTable::remove(const Hash32& id) {
  Bucket& bucket = buckets_[bucket_of(id)];
  const auto at = position(bucket, id);
  if (at == bucket.end() || (*at)->id != id) return false;
  order_.erase(*at);
  bucket.erase(at);
  return true;
}

Contact* RoutingTable::find(const Hash32& id) {
  Bucket& bucket = buckets_[bucket_of(id)];
  const auto at = position(bucket, id);
  return at == bucket.end() || (*at)->id != id ? nullptr : &**at;
}

void RoutingTable::touch(const Hash32& id) {
  Bucket& bucket = buckets_[bucket_of(id)];
  const auto at = position(bucket, id);
  if (at != bucket.end() && (*at)->id == id) order_.splice(order_.end(), order_, *at);
}

std::vector<const Contact*> RoutingTable::closest(const Hash32& target, size_t k) const {
  std::vector<const Contact*> out;
  const auto take = [&](size_t index) {
    for (const auto& contact : buckets_[index]) {
      if (out.size() >= k) return;
      out.push_back(&*contact);
    }
  };
  const size_t start = bucket_of(target);
  for (size_t i = start + 1; i-- > 0 && out.size() < k;) take(i);
  for (size_t i = start + 1; i < kBuckets && out.size() < k; ++i) take(i);
  return out;
}

const Contact* RoutingTable::random(Rng& rng) const {
  if (order_.empty()) return nullptr;
  return &*std::next(order_.begin(), rng.below(static_cast<uint32_t>(order_.size())));
}

void RoutingTable::rebuild(const Hash32& id) {
  std::list<Contact> contacts = std::move(order_);
  order_.clear();
  for (Bucket& bucket : buckets_) bucket.clear();
  id_ = id;
  for (const Contact& contact : contacts) add(contact);
}

}  // namespace hg::dht
