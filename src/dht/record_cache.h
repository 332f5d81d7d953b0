// Peers of topics: topic → host that announced → public key → encoded peer record, in two generations like GenerationCache
// (npm record-cache). Bounded over all topics and per topic. However many keys a host announces, it neither fills a generation
// (host_shares.h) nor hides the peers of others: a lookup is answered host by host, and a full topic loses a record of who has most there.
//
// Owned by Storage; one thread.
#pragma once

#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/rng.h"
#include "dht/host_shares.h"

namespace hg::dht {

class RecordCache {
 public:
  RecordCache(size_t max_records, size_t max_per_topic)
      : max_records_(max_records), max_per_topic_(max_per_topic), young_(max_records), old_(max_records) {}

  /// False: `host`, an IPv4 address, has its share already.
  bool add(const Topic& topic, const PublicKey& key, Bytes record, uint32_t host, Rng& rng);
  void remove(const Topic& topic, const PublicKey& key);
  /// Up to `n` different records, by chance: one of each host, then a second one of each, and so on.
  std::vector<Bytes> sample(const Topic& topic, size_t n, Rng& rng) const;
  void rotate();
  /// The periodic call: skipped once when a full generation has rotated meanwhile.
  void age();
  size_t size() const { return young_.size + old_.size; }

 private:
  struct Entry {
    PublicKey key;
    Bytes record;
  };
  struct Announcer {
    uint32_t host;
    std::vector<Entry> entries;  // never empty
  };
  struct Peers {
    std::vector<Announcer> announcers;
    size_t size = 0;
  };
  struct Generation {
    explicit Generation(size_t max_records) : shares(max_records) {}
    std::unordered_map<Topic, Peers, ArrayHash> topics;
    size_t size = 0;
    HostShares shares;

    bool holds(const Topic& topic, const PublicKey& key, uint32_t host) const;
    size_t count(const Topic& topic) const;
    void remove(const Topic& topic, const PublicKey& key);
    void remove_one_of_most(const Topic& topic, Rng& rng);
    void add(const Topic& topic, Entry entry, uint32_t host);

   private:
    void take(Peers& peers, size_t announcer, size_t entry);
  };

  size_t max_records_;
  size_t max_per_topic_;
  bool rotated_ = false;
  Generation young_;
  Generation old_;
};

}  // namespace hg::dht
