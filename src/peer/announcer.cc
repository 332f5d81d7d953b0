#include "peer/announcer.h"

#include <algorithm>

#include "base/log.h"

namespace hg::peer {

Announcer::Announcer(Context& context, const KeyPair& key_pair, const Hash32& target)
    : context_(context),
      key_pair_(key_pair),
      target_(target),
      timer_(context.runtime.timers(), [this] { on_timer(); }),
      watchdog_(context.runtime.timers(), [this] { on_watchdog(); }) {}

Announcer::~Announcer() { crypto::wipe(key_pair_.secret_key); }

void Announcer::start(std::function<void()> first_done, std::function<void()> forgotten) {
  first_done_ = std::move(first_done);
  forgotten_ = std::move(forgotten);
  begin_round();
}

void Announcer::refresh() {
  if (stopping_) return;
  refresh_wanted_ = true;
  if (!in_round_) timer_.arm(std::max(context_.now(), round_began_ + kRoundsApart));
}

bool Announcer::is_relay(const Endpoint& node) const {
  return std::any_of(generations_.begin(), generations_.end(), [&](const Generation& g) { return g.contains(node); });
}

void Announcer::begin_round() {
  in_round_ = true;
  round_began_ = context_.now();
  refresh_wanted_ = false;
  drifted_ = false;
  ping_round_ = 0;
  rounds_++;
  requests_.clear();
  new_relays_.clear();
  waiting_ = 0;
  watchdog_.arm(context_.now() + kWatchdog);
  dht::QueryOptions options;
  options.nodes = closest_;
  query_ = dht::find_peer(context_.node, target_, std::move(options), {},
                          [this](Expected<dht::QueryResult> result) { on_query(std::move(result)); });
}

void Announcer::on_query(Expected<dht::QueryResult> result) {
  if (!in_round_) return;
  std::vector<dht::Response> best;
  if (result) {
    closest_ = result->closest_nodes();
    best.assign(result->closest.begin(), result->closest.begin() + static_cast<ptrdiff_t>(std::min(kRelays, result->closest.size())));
  }
  waiting_ = best.size() + 1;
  for (const dht::Response& reply : best) {
    requests_.push_back(dht::request_announce(context_.node, target_, key_pair_, reply, {}, 0,
                                              [this, reply](Expected<dht::Response> answer) { on_announced(reply, answer); }));
  }
  if (--waiting_ == 0) finish_round();
}

void Announcer::on_announced(const dht::Response& reply, const Expected<dht::Response>& answer) {
  if (answer && answer->error == 0) new_relays_.push_back({reply.from, reply.to});
  if (--waiting_ == 0) finish_round();
}

void Announcer::on_watchdog() {
  query_.reset();
  if (stopping_) {
    if (stopped_done_) std::exchange(stopped_done_, {})();
  } else {
    finish_round();
  }
}

void Announcer::finish_round() {
  if (!in_round_) return;
  in_round_ = false;
  watchdog_.disarm();
  requests_.clear();
  if (!new_relays_.empty()) publish();
  HG_LOG(kDebug, "peer", "announced at {} node(s)", new_relays_.size());
  schedule_next();
  if (first_done_) context_.runtime.post(std::exchange(first_done_, {}));
}

void Announcer::publish() {
  generations_[2] = std::move(generations_[1]);
  generations_[1] = std::move(generations_[0]);
  generations_[0].clear();
  for (const wire::RelayInfo& relay : new_relays_) generations_[0][relay.relay_address] = relay.peer_address;
  relays_ = new_relays_;
  relay_addresses_.clear();
  if (const auto own = context_.node.remote_address()) relay_addresses_.push_back(*own);
  for (const wire::RelayInfo& relay : relays_)
    if (relay_addresses_.size() < kRelays) relay_addresses_.push_back(relay.relay_address);
  farewells_.clear();
  farewells_out_ = 0;
  for (const auto& [relay, seen] : generations_[1])
    if (!generations_[0].contains(relay)) unannounce(relay);
}

void Announcer::schedule_next() {
  if (stopping_) return;
  if (new_relays_.empty()) {
    timer_.arm(context_.now() + (refresh_wanted_ ? kRetryFirst : retry_));
    retry_ = std::min(retry_ * 2, kRetryMost);
    refresh_wanted_ = true;
    return;
  }
  retry_ = kRetryFirst;
  timer_.arm(refresh_wanted_ ? std::max(context_.now(), round_began_ + kRoundsApart) : context_.now() + kPingEvery);
}

void Announcer::on_timer() {
  if (stopping_) return;
  if (refresh_wanted_ || ping_round_ >= kPingRounds) return begin_round();
  ping_relays();
}

void Announcer::ping_relays() {
  ping_round_++;
  requests_.clear();
  pongs_ = 0;
  without_record_ = 0;
  waiting_ = 1;
  for (const auto& [relay, seen_as] : generations_[0]) {
    waiting_++;
    requests_.push_back(context_.node.request(relay, ping_or_question(), [this, seen_as = seen_as](Expected<dht::Response> pong) {
      if (pong) on_pong(seen_as, *pong);
      if (--waiting_ == 0) on_ping_round_over();
    }));
  }
  if (--waiting_ == 0) on_ping_round_over();
}

dht::Command Announcer::ping_or_question() const {
  if (asking()) return {.command = wire::kFindPeer, .target = target_};
  return {.command = wire::kPing, .internal = true};
}

void Announcer::on_pong(const Endpoint& seen_as, const dht::Response& pong) {
  pongs_++;
  if (pong.to != seen_as) drifted_ = true;
  if (!asking()) return;
  const auto record = pong.value ? wire::decode_peer(*pong.value) : std::nullopt;
  if (!record || record->public_key != key_pair_.public_key) without_record_++;
}

void Announcer::on_ping_round_over() {
  if (in_round_ || stopping_) return;
  if (drifted_ || without_record_ > 0 || pongs_ < generations_[0].size()) refresh_wanted_ = true;
  timer_.arm(refresh_wanted_ ? std::max(context_.now(), round_began_ + kRoundsApart) : context_.now() + kPingEvery);
  if (without_record_ > 0 && without_record_ == pongs_ && forgotten_) forgotten_();
}

void Announcer::unannounce(const Endpoint& relay) {
  farewells_out_++;
  dht::Command find;
  find.command = wire::kFindPeer;
  find.target = target_;
  farewells_.push_back(context_.node.request(relay, std::move(find), [this](Expected<dht::Response> reply) {
    if (!reply || !reply->token || !reply->id || !reply->value) return on_unannounced();
    farewells_.push_back(
        dht::request_unannounce(context_.node, target_, key_pair_, *reply, [this](Expected<dht::Response>) { on_unannounced(); }));
  }));
}

void Announcer::on_unannounced() {
  if (farewells_out_ > 0) farewells_out_--;
  if (farewells_out_ == 0 && stopping_ && stopped_done_) context_.runtime.post(std::exchange(stopped_done_, {}));
}

void Announcer::stop(std::function<void()> done) {
  if (stopping_) return;
  stopping_ = true;
  in_round_ = false;
  timer_.disarm();
  query_.reset();
  requests_.clear();
  farewells_.clear();
  farewells_out_ = 0;
  stopped_done_ = std::move(done);
  for (const wire::RelayInfo& relay : new_relays_) generations_[0].emplace(relay.relay_address, relay.peer_address);
  watchdog_.arm(context_.now() + kStopTimeout);
  farewells_out_ = 1;
  for (const auto& [relay, seen] : generations_[0]) unannounce(relay);
  on_unannounced();
}

}  // namespace hg::peer
