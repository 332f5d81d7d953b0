// Kademlia's table (npm kademlia-routing-table 1.0): 256 buckets of 20 by common-prefix length with our
// id, each sorted by node id, plus the order in which nodes were last heard from.
//
// closest() walks from the target's bucket down to 0 and then up, in bucket order: not an exact XOR sort.
// The table owns its contacts; pointers are valid until the contact is removed. One thread. Times are
// ticks (5 s) of the node.
#pragma once

#include <list>
#include <vector>

#include "base/endpoint.h"
#include "base/ids.h"
#include "base/rng.h"

namespace hg::dht {

struct Contact {
  Hash32 id{};
  Endpoint address{};
  uint64_t sampled = 0;  // tick at which its view of our address was last used; 0: never
  uint64_t added = 0;
  uint64_t pinged = 0;  // last interaction
  uint64_t seen = 0;    // last heard from
  uint64_t down_hints = 0;
};

class RoutingTable {
 public:
  static constexpr size_t kBucketSize = 20;  // dht-rpc's k
  static constexpr size_t kBuckets = 256;

  enum class Added { kYes, kKnown, kBucketFull, kSelf };

  explicit RoutingTable(const Hash32& id) : id_(id), buckets_(kBuckets) {}

  const Hash32& id() const { return id_; }
  size_t size() const { return order_.size(); }
  /// Index of the first bit in which `id` differs from ours; the last bucket for our own id.
  size_t bucket_of(const Hash32& id) const;

  Added add(const Contact& contact);
  bool remove(const Hash32& id);
  Contact* find(const Hash32& id);
  /// Moves a contact to the end of the heard-from order.
  void touch(const Hash32& id);
  std::vector<const Contact*> closest(const Hash32& target, size_t k = kBucketSize) const;
  const std::vector<std::list<Contact>::iterator>& bucket(size_t index) const { return buckets_[index]; }
  /// Oldest first.
  std::list<Contact>& by_age() { return order_; }
  const std::list<Contact>& by_age() const { return order_; }
  const Contact* random(Rng& rng) const;
  /// Sorts everything anew around another id; what does not fit is dropped, and so is a contact with that id.
  void rebuild(const Hash32& id);

 private:
  using Bucket = std::vector<std::list<Contact>::iterator>;
  Bucket::iterator position(Bucket& bucket, const Hash32& id);

  Hash32 id_;
  std::vector<Bucket> buckets_;
  std::list<Contact> order_;
};

}  // namespace hg::dht
