// Which hosts of the DHT named the peers that the swarm knows, and whose turn it is to have one of its peers tried.
//
// Any host near a topic can answer with keys that lead nowhere, as many as it likes. What a host has named costs the others no more than
// one turn in a round: they come in the order in which they were first heard, and a newcomer last. Nodes at one address are one host,
// so where all are, there is nothing to share. Plain data, owned by the swarm; no larger than what the records name.
#pragma once

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "swarm/peer_record.h"

namespace hg::swarm {

struct Voice {
  uint32_t host = 0;
  uint64_t turn = 0;  // whoever has the lowest comes next
  size_t named = 0;   // records
};

class Voices {
 public:
  /// `host` names this peer.
  void add(PeerRecord& record, uint32_t host) {
    auto& voices = record.named_by;
    if (voices.size() >= PeerRecord::kMaxNamers) return;
    if (std::any_of(voices.begin(), voices.end(), [&](const Voice* voice) { return voice->host == host; })) return;
    const auto [at, is_new] = voices_.try_emplace(host);
    if (is_new) at->second = {host, ++turns_, 0};
    at->second.named++;
    voices.push_back(&at->second);
  }
  /// Before the record goes.
  void forget(const PeerRecord& record) {
    for (Voice* voice : record.named_by)
      if (--voice->named == 0) voices_.erase(voice->host);
  }

  size_t hosts() const { return voices_.size(); }
  size_t named_by(uint32_t host) const {
    const auto at = voices_.find(host);
    return at == voices_.end() ? 0 : at->second.named;
  }
  /// How many there are of the most modest of the hosts that name this one.
  static size_t burden(const PeerRecord& record) {
    size_t least = std::numeric_limits<size_t>::max();
    for (const Voice* voice : record.named_by) least = std::min(least, voice->named);
    return record.named_by.empty() ? 0 : least;
  }
  void had_turn(Voice& voice) { voice.turn = ++turns_; }

 private:
  std::unordered_map<uint32_t, Voice> voices_;  // records point to these
  uint64_t turns_ = 0;
};

}  // namespace hg::swarm
