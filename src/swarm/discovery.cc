#include "swarm/discovery.h"

#include <algorithm>

#include "base/log.h"

namespace hg::swarm {
namespace {

constexpr Duration kQuick[] = {0s, 500ms, 1s, 2s};  // pauses after the first announce

}  // namespace

TopicSearch::TopicSearch(Setup& setup, const Topic& topic)
    : setup_(setup),
      topic_(topic),
      timer_(setup.runtime.timers(),
             [this] {
               want_lookup_ = true;
               step();
             }),
      done_(setup.runtime.timers(), [this] {
        if (leaving_) {
          if (const auto left = std::exchange(left_, {})) left();
        } else {
          step();
        }
      }) {}

void TopicSearch::set_interest(size_t servers, size_t clients) {
  const bool new_server = servers > 0 && servers_ == 0;
  const bool new_client = clients > 0 && clients_ == 0;
  const bool no_server = servers == 0 && servers_ > 0;
  servers_ = servers;
  clients_ = clients;
  if (new_server) want_announce_ = true;
  if (new_client || no_server) want_lookup_ = true;
  done_.arm(setup_.runtime.now());
}

void TopicSearch::refresh() {
  want_announce_ = servers_ > 0;
  want_lookup_ = true;
  newcomer_ = true;
  stable_ = kFirstStable;
  alone_rounds_ = 0;
  done_.arm(setup_.runtime.now());
}

void TopicSearch::flushed(std::function<void()> callback) {
  flushed_.push_back(std::move(callback));
  if (!busy_ && !want_announce_ && !want_lookup_) refresh();
}

void TopicSearch::on_loss() {
  stable_ = kFirstStable;
  alone_rounds_ = 0;
  if (!timer_.armed() || timer_.deadline() > setup_.runtime.now() + kAfterLoss) schedule(kAfterLoss);
}

bool TopicSearch::announce_due() const {
  if (servers_ == 0) return false;
  return want_announce_ || setup_.runtime.now() - announced_at_ >= kAnnounceEvery;
}

void TopicSearch::step() {
  if (busy_ || leaving_) return;
  others_seen_ = 0;
  self_seen_ = false;
  full_reply_ = false;
  if (announce_due()) {
    if (const peer::Server* server = setup_.listening_server()) return run_announce(*server);
  }
  if (want_lookup_) return run_lookup();
}

void TopicSearch::run_announce(const peer::Server& server) {
  busy_ = true;
  want_announce_ = false;
  want_lookup_ = false;
  announced_ = true;
  announced_relays_ = server.relay_addresses();
  dht::AnnounceOptions options;
  options.query.nodes = closest_;
  options.clear = std::exchange(first_announce_, false);
  query_ = dht::announce(
      setup_.node, topic_, setup_.key_pair, announced_relays_, std::move(options),
      [this](const dht::Response& response, const wire::LookupReply& reply) { on_peers(reply, response.from); },
      [this](Expected<dht::QueryResult> result) { on_announced(std::move(result)); });
}

void TopicSearch::run_lookup() {
  busy_ = true;
  want_lookup_ = false;
  const auto on_reply = [this](const dht::Response& response, const wire::LookupReply& reply) { on_peers(reply, response.from); };
  const auto on_done = [this](Expected<dht::QueryResult> result) { on_looked_up(std::move(result)); };
  dht::QueryOptions options;
  options.nodes = closest_;
  if (servers_ == 0 && announced_) {
    query_ = dht::lookup_and_unannounce(setup_.node, topic_, setup_.key_pair, std::move(options), on_reply, on_done);
  } else {
    query_ = dht::lookup(setup_.node, topic_, std::move(options), on_reply, on_done);
  }
}

void TopicSearch::on_peers(const wire::LookupReply& reply, const Endpoint& from) {
  if (reply.peers.size() >= kFullReply) full_reply_ = true;
  for (const wire::Peer& peer : reply.peers) {
    if (peer.public_key == setup_.key_pair.public_key) {
      self_seen_ = true;
      continue;
    }
    others_seen_++;
    if (clients_ > 0) setup_.on_peer(topic_, peer, from.address);
  }
}

void TopicSearch::on_announced(Expected<dht::QueryResult> result) {
  busy_ = false;
  if (!result) {
    HG_LOG(kDebug, "swarm", "announce failed: {}", result.error().code);
    want_announce_ = true;
    schedule(retry_);
    retry_ = std::min(retry_ * 2, kRetryMost);
    return run_flushed();
  }
  retry_ = kRetryFirst;
  announced_at_ = setup_.runtime.now();
  closest_ = result->closest_nodes();
  if (std::exchange(newcomer_, false)) quick_left_ = std::size(kQuick);
  after_round();
}

void TopicSearch::on_looked_up(Expected<dht::QueryResult> result) {
  busy_ = false;
  if (result) {
    if (servers_ == 0) announced_ = false;
    closest_ = result->closest_nodes();
    const bool announced_long_enough = setup_.runtime.now() - announced_at_ >= kAlone;
    if (servers_ > 0 && announced_ && announced_long_enough && !self_seen_ && !full_reply_) want_announce_ = true;
    const peer::Server* server = servers_ > 0 ? setup_.listening_server() : nullptr;
    if (server != nullptr && announced_ && server->relay_addresses() != announced_relays_) want_announce_ = true;
  }
  after_round();
}

void TopicSearch::after_round() {
  if (others_seen_ > 0) alone_rounds_ = 0;
  if (want_announce_ && setup_.listening_server() != nullptr) {
    schedule(Duration::zero());
  } else if (quick_left_ > 0 && clients_ > 0) {
    schedule(kQuick[std::size(kQuick) - quick_left_--]);
  } else {
    schedule(period());
  }
  if (!want_announce_) run_flushed();
}

Duration TopicSearch::period() {
  if (others_seen_ == 0) {
    stable_ = kFirstStable;
    return alone_rounds_++ < kAloneRounds ? kAlone : kAloneLong;
  }
  const Duration now = stable_;
  stable_ = std::min(stable_ * 2, kMostStable);
  const auto jitter = std::chrono::milliseconds(setup_.runtime.rng().below(static_cast<uint32_t>(to_ms(now) / 5 + 1)));
  if (servers_ == 0 || !announced_) return now + jitter;
  return std::min(now + jitter, std::max(announced_at_ + kAnnounceEvery - setup_.runtime.now(), kAlone));
}

void TopicSearch::schedule(Duration delay) { timer_.arm(setup_.runtime.now() + delay); }

void TopicSearch::run_flushed() {
  for (auto& callback : std::exchange(flushed_, {})) setup_.runtime.post(std::move(callback));
}

void TopicSearch::leave(std::function<void()> done) {
  leaving_ = true;
  timer_.disarm();
  query_.reset();
  flushed_.clear();
  left_ = std::move(done);
  if (!announced_) return done_.arm(setup_.runtime.now());
  dht::QueryOptions options;
  options.nodes = closest_;
  options.only_these_nodes = !closest_.empty();
  options.retries = 1;
  query_ = dht::unannounce(setup_.node, topic_, setup_.key_pair, std::move(options),
                           [this](Expected<dht::QueryResult>) { done_.arm(setup_.runtime.now()); });
}

// --- hub ----------------------------------------------------------------------------------------------

std::unique_ptr<Discovery> DiscoveryHub::join(const Topic& topic, JoinOptions options) {
  change(topic, options, 1);
  return std::unique_ptr<Discovery>(new Discovery(weak_from_this(), topic, options));
}

void DiscoveryHub::change(const Topic& topic, JoinOptions options, int by) {
  if (closed_) return;
  Entry& entry = topics_[topic];
  if (!entry.search) entry.search = std::make_unique<TopicSearch>(setup_, topic);
  if (options.server) entry.servers += static_cast<size_t>(by);
  if (options.client) entry.clients += static_cast<size_t>(by);
  if (entry.servers + entry.clients == 0) return leave(topic);
  entry.search->set_interest(entry.servers, entry.clients);
}

void DiscoveryHub::leave(const Topic& topic) {
  auto node = topics_.extract(topic);
  if (node.empty()) return;
  const uint64_t id = next_leaving_++;
  auto& search = leaving_[id] = std::move(node.mapped().search);
  search->leave([this, id] { on_left(id); });
}

void DiscoveryHub::on_left(uint64_t id) {
  const auto gone = leaving_.extract(id);
  if (leaving_.empty() && on_closed_) std::exchange(on_closed_, {})();
}

TopicSearch* DiscoveryHub::find(const Topic& topic) {
  const auto found = topics_.find(topic);
  return found == topics_.end() ? nullptr : found->second.search.get();
}

void DiscoveryHub::refresh_all() {
  for (auto& [topic, entry] : topics_) entry.search->refresh();
}

void DiscoveryHub::on_listening() {
  for (auto& [topic, entry] : topics_) entry.search->on_listening();
}

void DiscoveryHub::on_loss(const std::vector<Topic>& topics) {
  for (auto& [topic, entry] : topics_)
    if (topics.empty() || std::find(topics.begin(), topics.end(), topic) != topics.end()) entry.search->on_loss();
}

bool DiscoveryHub::wants_clients(const std::vector<Topic>& topics) const {
  return std::any_of(topics.begin(), topics.end(), [this](const Topic& topic) {
    const auto found = topics_.find(topic);
    return found != topics_.end() && found->second.clients > 0;
  });
}

void DiscoveryHub::close(std::function<void()> done) {
  closed_ = true;
  on_closed_ = std::move(done);
  while (!topics_.empty()) leave(topics_.begin()->first);
  if (leaving_.empty() && on_closed_) setup_.runtime.post(std::exchange(on_closed_, {}));
}

// --- handle -------------------------------------------------------------------------------------------

Discovery::~Discovery() {
  if (const auto hub = hub_.lock()) hub->change(topic_, options_, -1);
}

void Discovery::refresh() {
  const auto hub = hub_.lock();
  if (TopicSearch* search = hub ? hub->find(topic_) : nullptr) search->refresh();
}

void Discovery::flushed(std::function<void()> callback) {
  const auto hub = hub_.lock();
  if (TopicSearch* search = hub ? hub->find(topic_) : nullptr) search->flushed(std::move(callback));
}

}  // namespace hg::swarm
