#include "dht/record_cache.h"

#include <algorithm>

namespace hg::dht {

void RecordCache::Generation::remove(const Topic& topic, const PublicKey& key) {
  const auto found = topics.find(topic);
  if (found == topics.end()) return;
  auto& entries = found->second;
  const auto entry = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.key == key; });
  if (entry == entries.end()) return;
  *entry = std::move(entries.back());
  entries.pop_back();
  --size;
  if (entries.empty()) topics.erase(found);
}

void RecordCache::add(const Topic& topic, const PublicKey& key, Bytes record, Rng& rng) {
  remove(topic, key);
  auto& entries = young_.topics[topic];
  if (entries.size() >= max_per_topic_) {
    entries[rng.below(static_cast<uint32_t>(entries.size()))] = {key, std::move(record)};
    return;
  }
  entries.push_back({key, std::move(record)});
  if (++young_.size > max_records_) rotate();
}

void RecordCache::remove(const Topic& topic, const PublicKey& key) {
  young_.remove(topic, key);
  old_.remove(topic, key);
}

std::vector<Bytes> RecordCache::sample(const Topic& topic, size_t n, Rng& rng) const {
  std::vector<const Entry*> all;
  for (const Generation* generation : {&young_, &old_}) {
    const auto found = generation->topics.find(topic);
    if (found == generation->topics.end()) continue;
    for (const Entry& entry : found->second) all.push_back(&entry);
  }
  n = std::min(n, all.size());
  std::vector<Bytes> out;
  out.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    std::swap(all[i], all[i + rng.below(static_cast<uint32_t>(all.size() - i))]);
    out.push_back(all[i]->record);
  }
  return out;
}

void RecordCache::rotate() {
  rotated_ = true;
  old_ = std::move(young_);
  young_ = {};
}

void RecordCache::age() {
  if (!rotated_) rotate();
  rotated_ = false;
}

}  // namespace hg::dht
