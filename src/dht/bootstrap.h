// Finding the network: the bootstrap query for our own id, the quick firewall test, and trying again
// (npm dht-rpc 6.27 _bootstrap).
//
//   attempt: FIND_NODE(own id) ─ first replies: PING_NAT(server port) ─► answered: firewall test, query again
//      │  nobody answered: back-off 1 s … 10 s, also trying nodes we once knew        │
//      └──────────────◄───────────────────────────────────────────────────────────────┴─► done
//
// Never gives up and never latches: kick() starts an attempt whenever the table has become empty. Owned
// by the node; one thread.
#pragma once

#include <map>
#include <memory>

#include "base/timer.h"
#include "dht/query.h"

namespace hg::dht {

/// One entry of the bootstrap list.
struct BootstrapEntry {
  std::optional<uint32_t> address;  // tried first
  std::string host;                 // resolved when that is silent; may be a dotted quad
  uint16_t port = 0;
};
/// "host:port" or "ip@host:port". Error: BAD_BOOTSTRAP.
Expected<BootstrapEntry> parse_bootstrap(std::string_view text);

class Bootstrap {
 public:
  Bootstrap(Node& node, std::vector<BootstrapEntry> entries);
  ~Bootstrap();

  /// Starts an attempt unless one runs or waits.
  void kick();
  /// Starts one now, also if one waits for its back-off to end (network change, wake-up).
  void kick_now();
  bool has_entries() const { return !entries_.empty(); }
  bool unreachable() const { return failures_ > 0; }
  /// Calls `found` for each entry that answers or resolves, all at once, then `done`, neither inside this call. A name that was resolved
  /// before has its last address at once, and is looked up beside. Destroying the result cancels.
  std::shared_ptr<void> resolve(std::function<void(const Endpoint&)> found, std::function<void()> done);
  /// A node that left the table: a fallback when no bootstrap node answers.
  void remember(const Endpoint& address);
  /// An address gave no answer: while we know other nodes, queries leave it out for a minute, should it be a bootstrap node's.
  void note_silent(const Endpoint& address);

 private:
  struct Resolution;
  struct Name;

  std::shared_ptr<Name> look_up(const std::string& host);
  bool silent(const Endpoint& address) const;
  void run_query();
  void on_reply(const Response& reply);
  void on_probe_answered();
  void on_query_done(size_t replies);
  void finish(bool reached);
  void log_failure(Duration next_attempt);

  Node& node_;
  std::vector<BootstrapEntry> entries_;
  std::map<std::string, std::shared_ptr<Name>> names_;  // those of the entries
  std::vector<Endpoint> remembered_;                    // ring
  size_t next_remembered_ = 0;
  std::vector<std::pair<Endpoint, TimePoint>> silent_;  // as many as there are entries
  std::unique_ptr<Query> query_;
  Timer retry_;
  bool running_ = false;
  int probes_left_ = 0;
  bool probe_answered_ = false;
  int round_ = 0;
  int failures_ = 0;  // attempts in a row that nobody answered
  std::optional<TimePoint> last_log_;
};

}  // namespace hg::dht
