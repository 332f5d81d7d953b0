#include "dht/query.h"

#include <algorithm>
#include <map>

#include "dht/node.h"

namespace hg::dht {
namespace {

constexpr size_t kClosest = RoutingTable::kBucketSize;
constexpr size_t kThrottled = 3;                  // npm dht-rpc 6.27: first round when seeded from known nodes only
constexpr size_t kMaxCloserNodes = 2 * kClosest;  // per reply; the reference sends at most kClosest
constexpr size_t kMaxSeen = 4096;
constexpr size_t kMaxReferrers = 8;
constexpr Duration kWatchdog = std::chrono::seconds(60);
constexpr int kCommitRetries = 3;

Hash32 distance(const Hash32& a, const Hash32& b) {
  Hash32 out;
  for (size_t i = 0; i < out.size(); ++i) out[i] = a[i] ^ b[i];
  return out;
}

}  // namespace

std::vector<Endpoint> QueryResult::closest_nodes() const {
  std::vector<Endpoint> out;
  for (const Response& reply : closest) out.push_back(reply.from);
  return out;
}

struct Query::State : std::enable_shared_from_this<State>, NodeListener {
  enum class Mark { kPending, kDone, kDown };
  struct Seen {
    Mark mark = Mark::kPending;
    std::vector<Endpoint> referrers;
  };
  struct Visit {
    RequestHandle request;
    bool slow = false;
  };

  State(Node& n, Command c, QueryOptions o, ReplyCallback r, Commit m, DoneCallback d)
      : node(n),
        command(std::move(c)),
        options(std::move(o)),
        on_reply(std::move(r)),
        commit(std::move(m)),
        done(std::move(d)),
        watchdog(n.runtime().timers(), [this] {
          settle(Error{"QUERY_STALLED", "a DHT query made no progress"});
        }) {
    if (options.concurrency == 0) options.concurrency = node.options().concurrency;
    target = command.target.value_or(Hash32{});
    command.token.reset();
  }

  void on_closed() override { settle(Error{"NODE_DESTROYED", "the DHT node is closed"}); }
  void start();
  void seed_from_table();
  bool closer(const Hash32& id) const;
  bool add_pending(const Endpoint& address, const Endpoint* referrer);
  void read_more();
  void visit(const Endpoint& to);
  void on_visit(const Endpoint& to, Expected<Response> answer);
  void on_slow(const Endpoint& to);
  void take_reply(const Endpoint& to, const Response& reply);
  void push_closest(const Response& reply);
  void flush();
  void commit_at(const Response& reply, bool may_retry);
  void on_committed(const Response& reply, bool may_retry, Expected<Response> answer);
  void end_commit(const std::string& failure);
  void settle(Expected<QueryResult> outcome);
  void progress() { watchdog.arm(node.runtime().now() + kWatchdog); }

  Node& node;
  Command command;
  QueryOptions options;
  ReplyCallback on_reply;
  Commit commit;
  DoneCallback done;
  Hash32 target{};
  QueryResult result;
  std::map<Hash32, Endpoint> pending;  // by distance
  std::unordered_map<Endpoint, Seen> seen;
  std::unordered_map<Endpoint, Visit> visits;
  std::vector<RequestHandle> commits;
  std::shared_ptr<void> resolution;
  Timer watchdog;
  size_t slow = 0;
  size_t commits_pending = 0;
  size_t holds = 0;
  bool opening = true;  // bootstrap nodes are still being looked for
  bool bootstrap_found = false;
  bool from_table = false;
  bool throttled = false;
  bool committing = false;
  bool settled = false;
  std::string last_failure;
};

Query::Query(Node& node, Command command, QueryOptions options, ReplyCallback on_reply, Commit commit, DoneCallback done)
    : state_(
          std::make_shared<State>(node, std::move(command), std::move(options), std::move(on_reply), std::move(commit), std::move(done))) {
  node.add_listener(state_.get());
  state_->progress();
  node.runtime().post([weak = std::weak_ptr(state_)] {
    if (const auto state = weak.lock(); state && !state->settled) state->start();
  });
}

Query::~Query() {
  if (!std::exchange(state_->settled, true)) state_->node.remove_listener(state_.get());
}

const Hash32& Query::target() const { return state_->target; }
bool Query::finished() const { return state_->settled; }
void Query::set_concurrency(size_t concurrency) { state_->options.concurrency = concurrency; }
void Query::hold() { state_->holds++; }
void Query::release() {
  const auto state = state_;
  state->holds--;
  state->progress();
  state->read_more();
}

void Query::State::start() {
  if (node.closed()) return settle(Error{"NODE_DESTROYED", "the DHT node is closed"});
  for (const Endpoint& address : options.nodes) add_pending(address, nullptr);
  if (!options.only_these_nodes) seed_from_table();
  opening = pending.size() < kClosest && !options.only_these_nodes && node.has_bootstrap();
  if (opening) {
    resolution = node.resolve_bootstrap(
        [weak = weak_from_this()](const Endpoint& found) {
          const auto self = weak.lock();
          if (!self || self->settled) return;
          self->bootstrap_found = true;
          self->add_pending(found, nullptr);
          self->read_more();
        },
        [weak = weak_from_this()] {
          const auto self = weak.lock();
          if (!self || self->settled) return;
          self->opening = false;
          self->read_more();
        });
  }
  read_more();
}

void Query::State::seed_from_table() {
  if (pending.size() >= kClosest) return;
  from_table = true;
  for (const Endpoint& address : node.closest_nodes(target, kClosest - pending.size())) add_pending(address, nullptr);
}

bool Query::State::closer(const Hash32& id) const {
  return result.closest.size() < kClosest || distance(id, target) < distance(*result.closest.back().id, target);
}

/// False: no closer than what we have.
bool Query::State::add_pending(const Endpoint& address, const Endpoint* referrer) {
  const Hash32 id = node_id(address);
  const bool is_closer = closer(id);
  if (const auto found = seen.find(address); found != seen.end()) {
    Seen& known = found->second;
    if (known.mark == Mark::kDown && referrer != nullptr) node.send_down_hint(*referrer, address);
    if (known.mark == Mark::kPending && referrer != nullptr && known.referrers.size() < kMaxReferrers) known.referrers.push_back(*referrer);
    return is_closer;
  }
  if (!is_closer || address.port == 0 || seen.size() >= kMaxSeen) return false;
  Seen& fresh = seen[address];
  if (referrer != nullptr) fresh.referrers.push_back(*referrer);
  pending.emplace(distance(id, target), address);
  return true;
}

void Query::State::read_more() {
  if (settled || committing) return;
  const size_t limit = (throttled ? kThrottled : options.concurrency) + slow;
  while (visits.size() < limit && !pending.empty()) {
    const auto [far, address] = *pending.begin();
    pending.erase(pending.begin());
    if (result.closest.size() < kClosest || far < distance(*result.closest.back().id, target)) visit(address);
  }
  if (!from_table && result.replies + result.errors == 0) throttled = true;
  // One live bootstrap node is enough: a dead one beside it should not hold everything up.
  const bool waiting_for_bootstrap = opening && !(bootstrap_found && result.replies > 0);
  if (!pending.empty() || waiting_for_bootstrap || holds > 0) return;
  const bool only_slow_left = slow == visits.size() && result.closest.size() >= kClosest;
  if (!visits.empty() && !only_slow_left) return;
  if (!from_table && !options.only_these_nodes && result.replies < kClosest / 4) {
    from_table = true;
    throttled = false;
    for (const Endpoint& address : node.closest_nodes(target, kClosest)) add_pending(address, nullptr);
    return read_more();
  }
  flush();
}

void Query::State::visit(const Endpoint& to) {
  RequestOptions request{.retries = options.retries};
  request.on_slow = [weak = weak_from_this(), to] {
    if (const auto self = weak.lock(); self && !self->settled) self->on_slow(to);
  };
  visits[to].request = node.request(
      to, command,
      [weak = weak_from_this(), to](Expected<Response> answer) {
        if (const auto self = weak.lock(); self && !self->settled) self->on_visit(to, std::move(answer));
      },
      std::move(request));
}

void Query::State::on_slow(const Endpoint& to) {
  const auto visit = visits.find(to);
  if (visit == visits.end() || visit->second.slow) return;
  visit->second.slow = true;
  ++slow;
  read_more();
}

void Query::State::on_visit(const Endpoint& to, Expected<Response> answer) {
  progress();
  if (const auto visit = visits.find(to); visit != visits.end()) {
    if (visit->second.slow) --slow;
    visits.erase(visit);
  }
  if (answer) return take_reply(to, *answer);
  if (node.closed()) return settle(Error{"NODE_DESTROYED", "the DHT node is closed"});
  Seen& known = seen[to];
  if (answer.error().code == "REQUEST_TIMEOUT") {
    known.mark = Mark::kDown;
    for (const Endpoint& referrer : known.referrers) node.send_down_hint(referrer, to);
  }
  known.referrers.clear();
  ++result.errors;
  read_more();
}

void Query::State::take_reply(const Endpoint& to, const Response& reply) {
  Seen& known = seen[to];
  known.mark = Mark::kDone;
  known.referrers.clear();
  if (committing) return;
  reply.error == 0 ? ++result.replies : ++result.errors;
  if (reply.error == 0 && reply.id && closer(*reply.id)) push_closest(reply);
  size_t taken = 0;
  for (const Endpoint& next : reply.closer_nodes) {
    if (++taken > kMaxCloserNodes) break;
    if (options.only_these_nodes || Node::filtered(next) || node_id(next) == node.table_id()) continue;
    if (!add_pending(next, &reply.from)) break;
  }
  if (!from_table && result.replies + result.errors >= options.concurrency) throttled = false;
  if (reply.error == 0 && on_reply) {
    const auto keep = shared_from_this();
    on_reply(reply);
    if (settled) return;
  }
  read_more();
}

void Query::State::push_closest(const Response& reply) {
  auto& closest = result.closest;
  const Hash32 far = distance(*reply.id, target);
  const auto at = std::find_if(closest.begin(), closest.end(), [&](const Response& r) { return !(distance(*r.id, target) < far); });
  if (at != closest.end() && at->id == reply.id) return;
  closest.insert(at, reply)->socket = nullptr;
  if (closest.size() > kClosest) closest.pop_back();
}

void Query::State::flush() {
  visits.clear();
  slow = 0;
  committing = true;
  if (!commit) return settle(std::move(result));
  const auto keep = shared_from_this();
  const std::vector<Response> replies = result.closest;
  commits_pending = 1;  // this loop's own
  for (const Response& reply : replies) {
    commit_at(reply, true);
    if (settled) return;
  }
  --commits_pending;
  if (commits_pending == 0) end_commit(last_failure);
}

void Query::State::commit_at(const Response& reply, bool may_retry) {
  std::optional<Command> request = commit(reply);
  if (!request || settled) return;
  ++commits_pending;
  commits.push_back(node.request(
      reply.from, std::move(*request),
      [weak = weak_from_this(), reply, may_retry](Expected<Response> answer) {
        if (const auto self = weak.lock(); self && !self->settled) self->on_committed(reply, may_retry, std::move(answer));
      },
      RequestOptions{.retries = kCommitRetries}));
}

void Query::State::on_committed(const Response& reply, bool may_retry, Expected<Response> answer) {
  progress();
  const bool stale_token = answer && answer->error == wire::kInvalidToken && answer->token;
  if (stale_token && may_retry) {
    Response fresh = reply;
    fresh.token = answer->token;
    commit_at(fresh, false);
  } else if (answer && answer->error == 0) {
    ++result.committed;
  } else {
    ++result.commit_failures;
    last_failure = answer ? "error " + std::to_string(answer->error) : answer.error().code;
  }
  if (settled || --commits_pending > 0) return;
  end_commit(last_failure);
}

void Query::State::end_commit(const std::string& failure) {
  if (node.closed()) return settle(Error{"NODE_DESTROYED", "the DHT node is closed"});
  if (result.committed > 0) return settle(std::move(result));
  if (result.commit_failures > 0) return settle(Error{"COMMIT_FAILED", "no node accepted the request: " + failure});
  settle(Error{"TOO_FEW_NODES", "too few nodes responded"});
}

void Query::State::settle(Expected<QueryResult> outcome) {
  if (std::exchange(settled, true)) return;
  const auto keep = shared_from_this();
  node.remove_listener(this);
  watchdog.disarm();
  visits.clear();
  commits.clear();
  resolution.reset();
  const DoneCallback run = std::exchange(done, nullptr);
  if (run) run(std::move(outcome));
}

}  // namespace hg::dht
