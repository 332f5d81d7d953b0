// Peers of topics: topic → public key → encoded peer record, in two generations like GenerationCache
// (npm record-cache). Bounded over all topics and per topic; a full topic replaces a random record.
//
// Owned by Storage; one thread.
#pragma once

#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/rng.h"

namespace hg::dht {

class RecordCache {
 public:
  RecordCache(size_t max_records, size_t max_per_topic) : max_records_(max_records), max_per_topic_(max_per_topic) {}

  void add(const Topic& topic, const PublicKey& key, Bytes record, Rng& rng);
  void remove(const Topic& topic, const PublicKey& key);
  /// Up to `n` different records, a uniform choice.
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
  struct Generation {
    std::unordered_map<Topic, std::vector<Entry>, ArrayHash> topics;
    size_t size = 0;
    void remove(const Topic& topic, const PublicKey& key);
  };

  size_t max_records_;
  size_t max_per_topic_;
  bool rotated_ = false;
  Generation young_;
  Generation old_;
};

}  // namespace hg::dht
