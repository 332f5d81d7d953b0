// Who may begin a random punch, and when: it is a burst of up to 1750 datagrams, so one runs at a time, and a pause follows.
//
//   the pause     path found                   came to nothing
//   our own       a quarter of what it took    as long as it took, up to kInterval
//   for a host    a quarter                    a quarter; that host: as long as it took, then 2, 4, 8 … times kInterval, up to kMostWait
//
// One that ends before its turn was over (a relay was faster, the other side called it off) costs its host no more than it took, and one
// that finds a path makes good for all before.
//
// Others may be waiting for theirs (three members start at once, one relays for the other two), and who never lets one succeed must not
// keep them from it: after kTurn one for a host gives way to another host's, or to our own. A host is where the other side has proven that
// it receives; nullopt stands for ourselves. Owned by the Context; one thread.
#pragma once

#include <deque>
#include <functional>
#include <optional>

#include "base/ids.h"
#include "base/time.h"

namespace hg::peer {

/// A connector holds a claim while its punch message is under way. Of two peers that reach this point with each other at the same
/// moment, the one with the smaller key gives its claim up, or each would refuse the other.
class RandomPunchGuard {
 public:
  static constexpr Duration kInterval = 20s;  // hyperdht 6.34, which always pauses for that
  static constexpr Duration kTurn = 5s;       // the volleys of a PunchPlan: nearly all that succeed do so by then
  static constexpr Duration kMostWait = 5min;
  static constexpr Duration kForgetAfter = 10min;  // since a host's wait was over
  static constexpr size_t kMaxHosts = 64;          // remembered; the one whose last failure is the oldest is forgotten

  bool may_begin(TimePoint now, std::optional<uint32_t> host) const;
  /// One that still runs gives way; `give_way` must end().
  void begin(TimePoint now, std::optional<uint32_t> host, std::function<void()> give_way);
  void end(TimePoint now, bool path_found);

  /// `give_up` must release().
  void claim(const PublicKey& own, const PublicKey& peer, std::function<void()> give_up) { claim_ = Claim{own, peer, std::move(give_up)}; }
  void release() { claim_.reset(); }
  /// `peer` asks us to punch: a claim of ours for a punch to the same peer gives way if that one's key is larger.
  void give_way_to(const PublicKey& peer);

 private:
  struct Running {
    TimePoint began;
    std::optional<uint32_t> host;
    std::function<void()> give_way;
  };
  struct Claim {
    PublicKey own;
    PublicKey peer;
    std::function<void()> give_up;
  };
  struct Failed {
    uint32_t host;
    int times;  // that had their turn
    TimePoint waits_until;
  };

  void note_failure(TimePoint now, uint32_t host, Duration took);

  std::optional<Running> running_;
  TimePoint paused_until_{};
  std::optional<Claim> claim_;
  std::deque<Failed> failed_;  // by the last failure
};

}  // namespace hg::peer
