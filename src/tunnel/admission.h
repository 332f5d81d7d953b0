// The ingress policy applied: who may open a channel, under which limit, and again for open channels when the answer may have changed.
//
//   judge() at each attempt to open ─▶ admit() when the provider confirmed ─▶ the channel carries its Admission until it is detached
//   policy changed · a rule expired · an override was set or ran out ─▶ recheck(): denied channels are closed, limits replaced
//   route gone (its provider is silent, or stops) ─▶ its last policy stands
//
// A verdict holds until the next recheck: packets cost nothing. Overrides (/unlimited) come before every policy. Owned by Gateway. One
// thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/runtime.h"
#include "tunnel/route_table.h"
#include "tunnel/shaper.h"
#include "tunnel/status.h"

namespace hg::tunnel {

class Admissions;
class Channel;

struct Verdict {
  bool allow = true;
  std::vector<std::string> labels;
  std::shared_ptr<Bucket> bucket;  // null: no limit
};

/// Ties an open channel to the policy that let it in. Owned by the channel.
class Admission {
 public:
  Admission(Admissions& owner, Channel& channel, GateKey gate, std::string client, RouteTable::Pick route);
  ~Admission();
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

 private:
  friend class Admissions;

  Admissions& owner_;
  Channel& channel_;
  const GateKey gate_;
  const std::string client_;
  RouteTable::Pick route_;  // with the last policy it had
  std::shared_ptr<Bucket> bucket_;
};

class Admissions {
 public:
  static constexpr size_t kMaxOverrides = 4096;
  static constexpr std::string_view kOverrideLabel = "gateway-unlimited";

  Admissions(Runtime& runtime, Counters& counters, const RouteTable& routes);
  ~Admissions();

  Verdict judge(const IngressPolicy* policy, GateKey gate, const std::string& client);
  /// Under the route's policy of now, or the one it was picked with if it is gone; false: denied meanwhile, nothing is tied. The channel's
  /// handler hears of a limit.
  bool admit(Channel& channel, GateKey gate, const std::string& client, const RouteTable::Pick& route);
  /// Soon, not inside this call.
  void recheck();

  /// Lets `client` (canonical text) in everywhere without limits until then; replaces an earlier override. False: too many.
  bool set_override(const std::string& client, int64_t until_ms);
  /// Those in force, by address.
  std::vector<Override> overrides() const;
  /// Every open channel, for people: one line each.
  std::vector<std::string> describe_channels(size_t most) const;
  size_t buckets() const { return shaper_.size(); }

 private:
  friend class Admission;

  Verdict judge_again(Admission& admission);
  void run();
  void expire_at(int64_t wall_ms);
  bool overridden(const std::string& client) const;

  Runtime& runtime_;
  Counters& counters_;
  const RouteTable& routes_;
  Shaper shaper_;
  std::unordered_set<Admission*> admitted_;
  std::unordered_map<std::string, int64_t> overrides_;
  Timer timer_;
};

}  // namespace hg::tunnel
