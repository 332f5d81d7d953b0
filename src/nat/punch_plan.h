// The three ways to open a path between two NATs, as state machines: time in, probes out.
//
//   CONSISTENT–CONSISTENT   every 1 s, ten times, a probe to each remote address
//   CONSISTENT–RANDOM       1750 probes to random ports of the remote host, every 20 ms: the first 1000 in volleys of four
//   RANDOM–CONSISTENT       256 sockets, each fires once with a low TTL; then they take turns, 20 ms apart
//   RANDOM–RANDOM           impossible
//
//   make(…) ─▶ poll(now) → probes to send, again at next() ─▶ … ─▶ next() == nullopt: without success
//
// OPEN counts as CONSISTENT. Owned by the puncher, which owns the sockets; a probe is one zero byte. The
// numbers are hyperdht 6.34's lib/holepuncher, but for the volleys, and that of the low-TTL cycle every
// eighth probe has the usual TTL: hyperdht takes 5 s on average to guess a port, and 5 s to let a probe arrive.
#pragma once

#include <optional>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "wire/hyperdht.h"

namespace hg::nat {

constexpr int kLowTtl = 5;  // enough to open our own NAT, too little to reach the other's

struct RemoteAddress {
  Endpoint endpoint;
  bool verified = false;  // the host proved that it receives what is sent there
};

struct Probe {
  size_t socket = 0;  // index, 0 is the one the NAT analysis was made on
  Endpoint to;
  bool low_ttl = false;
};

class PunchPlan {
 public:
  static constexpr size_t kBirthdaySockets = 256;
  static constexpr int kRandomTries = 1750;

  struct Situation {
    bool initiator = false;
    wire::Firewall local = wire::kFirewallUnknown;
    wire::Firewall remote = wire::kFirewallUnknown;
    std::vector<RemoteAddress> addresses;
  };

  /// nullopt: no strategy fits (both random, something unknown, nothing verified to aim at).
  static std::optional<PunchPlan> make(Situation situation, TimePoint now);

  /// Sockets the probes are numbered for; all must exist before the first poll().
  size_t sockets() const { return kind_ == Kind::kBirthday ? kBirthdaySockets : 1; }
  /// At most one such plan runs at a time per process.
  bool random() const { return kind_ != Kind::kConsistent; }
  /// When poll() has something to do; nullopt: the plan is over.
  std::optional<TimePoint> next() const { return next_; }
  /// Appends what is due at `now`.
  void poll(TimePoint now, Rng& rng, std::vector<Probe>& out);
  /// Later news about where the remote is (consistent plans only).
  void set_addresses(std::vector<RemoteAddress> addresses);

 private:
  enum class Kind { kConsistent, kRandomProbes, kBirthday };

  PunchPlan(Kind kind, Situation situation, TimePoint first);
  void poll_consistent(TimePoint now, std::vector<Probe>& out);
  void poll_random(TimePoint now, Rng& rng, std::vector<Probe>& out);
  void poll_birthday(TimePoint now, std::vector<Probe>& out);

  Kind kind_;
  std::vector<RemoteAddress> addresses_;
  Endpoint target_;  // verified, where one is needed
  std::optional<TimePoint> next_;
  int tries_ = 0;
  size_t turn_ = 0;
  bool opened_ = false;
  bool first_cycle_ = true;
};

}  // namespace hg::nat
