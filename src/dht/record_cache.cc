#include "dht/record_cache.h"

#include <algorithm>

namespace hg::dht {

bool RecordCache::Generation::holds(const Topic& topic, const PublicKey& key, uint32_t host) const {
  const auto found = topics.find(topic);
  if (found == topics.end()) return false;
  for (const Announcer& announcer : found->second.announcers)
    if (announcer.host == host)
      return std::any_of(announcer.entries.begin(), announcer.entries.end(), [&](const Entry& e) { return e.key == key; });
  return false;
}

size_t RecordCache::Generation::count(const Topic& topic) const {
  const auto found = topics.find(topic);
  return found == topics.end() ? 0 : found->second.size;
}

void RecordCache::Generation::remove(const Topic& topic, const PublicKey& key) {
  const auto found = topics.find(topic);
  if (found == topics.end()) return;
  Peers& peers = found->second;
  for (size_t i = 0; i < peers.announcers.size(); ++i) {
    const auto& entries = peers.announcers[i].entries;
    const auto entry = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.key == key; });
    if (entry == entries.end()) continue;
    take(peers, i, static_cast<size_t>(entry - entries.begin()));
    if (peers.size == 0) topics.erase(found);
    return;
  }
}

void RecordCache::Generation::remove_one_of_most(const Topic& topic, Rng& rng) {
  Peers& peers = topics.at(topic);
  const auto fewer = [](const Announcer& a, const Announcer& b) { return a.entries.size() < b.entries.size(); };
  const auto most = std::max_element(peers.announcers.begin(), peers.announcers.end(), fewer);
  take(peers, static_cast<size_t>(most - peers.announcers.begin()), rng.below(static_cast<uint32_t>(most->entries.size())));
}

void RecordCache::Generation::take(Peers& peers, size_t announcer, size_t entry) {
  Announcer& from = peers.announcers[announcer];
  shares.remove(from.host, 1);
  std::swap(from.entries[entry], from.entries.back());
  from.entries.pop_back();
  --peers.size;
  --size;
  if (!from.entries.empty()) return;
  std::swap(from, peers.announcers.back());
  peers.announcers.pop_back();
}

void RecordCache::Generation::add(const Topic& topic, Entry entry, uint32_t host) {
  Peers& peers = topics[topic];
  auto announcer = std::find_if(peers.announcers.begin(), peers.announcers.end(), [&](const Announcer& a) { return a.host == host; });
  if (announcer == peers.announcers.end()) announcer = peers.announcers.insert(announcer, {host, {}});
  announcer->entries.push_back(std::move(entry));
  shares.add(host, 1);
  ++peers.size;
  ++size;
}

bool RecordCache::add(const Topic& topic, const PublicKey& key, Bytes record, uint32_t host, Rng& rng) {
  if (!young_.shares.has_room(host, 1, young_.holds(topic, key, host) ? 1 : 0)) return false;
  remove(topic, key);
  if (young_.count(topic) >= max_per_topic_) young_.remove_one_of_most(topic, rng);
  young_.add(topic, {key, std::move(record)}, host);
  if (young_.size > max_records_) rotate();
  return true;
}

void RecordCache::remove(const Topic& topic, const PublicKey& key) {
  young_.remove(topic, key);
  old_.remove(topic, key);
}

std::vector<Bytes> RecordCache::sample(const Topic& topic, size_t n, Rng& rng) const {
  struct Turn {
    const std::vector<Entry>* entries;
    size_t first;  // of the host's entries, by chance
  };
  std::vector<Turn> turns;
  size_t all = 0;
  for (const Generation* generation : {&young_, &old_}) {
    const auto found = generation->topics.find(topic);
    if (found == generation->topics.end()) continue;
    all += found->second.size;
    for (const Announcer& announcer : found->second.announcers) turns.push_back({&announcer.entries, 0});
  }
  n = std::min(n, all);
  for (size_t i = 0; i < std::min(n, turns.size()); ++i) {
    std::swap(turns[i], turns[i + rng.below(static_cast<uint32_t>(turns.size() - i))]);
    turns[i].first = rng.below(static_cast<uint32_t>(turns[i].entries->size()));
  }
  std::vector<Bytes> out;
  out.reserve(n);
  for (size_t round = 0; out.size() < n; ++round)
    for (size_t i = 0; i < turns.size() && out.size() < n; ++i) {
      const auto& [entries, first] = turns[i];
      if (round < entries->size()) out.push_back((*entries)[(first + round) % entries->size()].record);
    }
  return out;
}

void RecordCache::rotate() {
  rotated_ = true;
  old_ = std::move(young_);
  young_ = Generation(max_records_);
}

void RecordCache::age() {
  if (!rotated_) rotate();
  rotated_ = false;
}

}  // namespace hg::dht
