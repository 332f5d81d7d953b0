// Payload that channels have carried: of one gate at a gateway, of one service at a provider. Who keeps it shares it with those channels;
// they count in it what they send and receive, beside the node's Counters. One thread.
#pragma once

#include <cstdint>

namespace hg::tunnel {

struct Traffic {
  uint64_t to_peers = 0;  // bytes
  uint64_t from_peers = 0;
  uint64_t both() const { return to_peers + from_peers; }
};

}  // namespace hg::tunnel
