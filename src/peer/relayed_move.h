// An older connection goes on through the relay that a fresh one has found.
//
//   new ─▶ its stream is paired at the relay, too ── paired ──▶ it runs through the relay ─▶ done(true)
//             └── refused, relay lost, kPatience ──▶ done(false)
//
// The relay knows the fresh connection's stream by its id and cannot tell that another one is to take its place; so that one gets a
// pair of its own, with a control connection that lives as long as it does. Owned by the swarm's link. One thread.
#pragma once

#include <functional>
#include <memory>

#include "base/timer.h"
#include "peer/blind_relay_client.h"
#include "peer/host.h"

namespace hg::peer {

class RelayedMoveImpl final : public RelayedMove {
 public:
  static constexpr Duration kPatience = 6s;  // two round trips to the relay from either end; both begin at once

  using Done = std::function<void(bool moved)>;
  RelayedMoveImpl(Context& context, const BlindRelayClient::Setup& setup, noise::SecureConnection& old, Done done);

 private:
  void on_paired(const Expected<BlindRelayClient::Paired>& paired);
  /// The callback may destroy this.
  void finish(bool moved);

  Context& context_;
  noise::SecureConnection& old_;
  Done done_;
  std::shared_ptr<BlindRelayClient> client_;
  Timer patience_;
};

}  // namespace hg::peer
