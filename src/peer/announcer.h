// Keeps one key reachable: announces it at the nodes closest to its target and keeps the paths to them open.
//
//   FIND_PEER query ─▶ 3 closest replies ─▶ signed ANNOUNCE to each ─▶ all answered: relays published
//        ▲                                                               │ every 3 s: ping each
//        └── one silent, forgetful or seeing us elsewhere │ 5 min │ refresh() ◀─┘
//
// A relay forwards to the address it saw at the announce, so the answer to a ping must still name it. One that has
// started over answers pings all the same: every fifth time it is asked for our record instead.
// Relays that dropped out are told (UNANNOUNCE). With nobody to announce at, it tries again soon, and what was
// announced before stays. A watchdog ends a round that hangs. Owned by its Server. Source: hyperdht 6.34 lib/announcer.
#pragma once

#include <array>
#include <functional>
#include <map>

#include "base/timer.h"
#include "dht/operations.h"
#include "peer/context.h"

namespace hg::peer {

class Announcer {
 public:
  Announcer(Context& context, const KeyPair& key_pair, const Hash32& target);
  ~Announcer();

  /// Begins; `first_done` runs once, after the first round, successful or not; `forgotten` whenever every relay that answers has lost
  /// our record.
  void start(std::function<void()> first_done, std::function<void()> forgotten);
  /// A new round as soon as possible.
  void refresh();
  /// Unannounces; `done` runs later, after kStopTimeout at the latest.
  void stop(std::function<void()> done);

  const std::vector<wire::RelayInfo>& relays() const { return relays_; }
  const std::vector<Endpoint>& relay_addresses() const { return relay_addresses_; }
  /// True for a relay of this round or the two before.
  bool is_relay(const Endpoint& node) const;
  uint64_t rounds() const { return rounds_; }

 private:
  static constexpr size_t kRelays = 3;
  static constexpr Duration kPingEvery = 3s;
  static constexpr int kPingRounds = 100;       // then a full round: about 5 min
  static constexpr int kAskEvery = 5;           // ping rounds: then the relays are asked for our record
  static constexpr Duration kRoundsApart = 2s;  // at least, however often a new round is asked for
  static constexpr Duration kWatchdog = 30s;
  static constexpr Duration kStopTimeout = 2500ms;
  static constexpr Duration kRetryFirst = 1s;  // nobody to announce at: doubled up to kRetryMost
  static constexpr Duration kRetryMost = 15s;

  using Generation = std::map<Endpoint, Endpoint>;  // relay → our address as it saw it at the announce

  void begin_round();
  void on_query(Expected<dht::QueryResult> result);
  void on_announced(const dht::Response& reply, const Expected<dht::Response>& answer);
  void on_watchdog();
  void finish_round();
  void publish();
  void schedule_next();
  void on_timer();
  void ping_relays();
  bool asking() const { return ping_round_ % kAskEvery == 0; }
  dht::Command ping_or_question() const;
  void on_pong(const Endpoint& seen_as, const dht::Response& pong);
  void on_ping_round_over();
  void unannounce(const Endpoint& relay);
  void on_unannounced();

  Context& context_;
  KeyPair key_pair_;
  Hash32 target_;
  std::function<void()> first_done_;
  std::function<void()> forgotten_;
  std::function<void()> stopped_done_;

  dht::QueryHandle query_;
  std::vector<Endpoint> closest_;
  std::vector<dht::RequestHandle> requests_;  // of the announce or ping round under way
  std::vector<dht::RequestHandle> farewells_;
  size_t waiting_ = 0;
  size_t farewells_out_ = 0;
  size_t pongs_ = 0;
  size_t without_record_ = 0;  // of the pongs, when asked for it
  bool in_round_ = false;
  bool refresh_wanted_ = false;
  bool drifted_ = false;
  bool stopping_ = false;
  int ping_round_ = 0;
  Duration retry_ = kRetryFirst;
  uint64_t rounds_ = 0;
  TimePoint round_began_{};

  std::array<Generation, 3> generations_;  // newest first
  std::vector<wire::RelayInfo> new_relays_;
  std::vector<wire::RelayInfo> relays_;
  std::vector<Endpoint> relay_addresses_;
  Timer timer_;
  Timer watchdog_;
};

}  // namespace hg::peer
