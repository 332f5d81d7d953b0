#include "tunnel/opening.h"

#include <algorithm>

#include "base/log.h"

namespace hg::tunnel {

namespace {
constexpr std::string_view kLog = "gateway";
}

Opening::Opening(Gateway& gateway, const GateRequest& request, Channel& channel, ChannelHandler& handler)
    : gateway_(gateway),
      context_(gateway.context_),
      channel_(channel),
      handler_(handler),
      request_(request),
      id_(to_hex(context_.runtime.rng().array<16>())),
      opened_at_ms_(context_.runtime.wall_ms()),
      give_up_at_(context_.runtime.now() + context_.limits.route_finding_timeout),
      early_data_(request.gate.protocol),
      timer_(context_.runtime.timers(), [this] { on_timer(); }) {
  channel_.opener_ = this;
}

Opening::~Opening() {
  leave_line();
  if (holds_early_place_) --gateway_.early_openings_;
  // Left behind by a gateway that is destroyed: the channel must not call back.
  if (!left_ && channel_.opener_ == this) {
    channel_.opener_ = nullptr;
    channel_.state_ = Channel::State::kClosed;
  }
}

std::unique_ptr<Opening> Opening::leave() {
  left_ = true;
  channel_.opener_ = nullptr;
  channel_.state_ = Channel::State::kClosed;
  return gateway_.release(*this);
}

void Opening::attempt() {
  const TimePoint now = context_.runtime.now();
  if (now >= give_up_at_) return fail(timed_out_ ? CloseReason::kTimeout : CloseReason::kNoRoute);
  std::vector<PublicKey> avoid = tried_;
  while (const auto pick = gateway_.routes_.pick(request_.gate, now, avoid)) {
    Verdict verdict = gateway_.admissions_.judge(pick->policy.get(), request_.gate, request_.client.ip);
    if (!verdict.allow) return fail(CloseReason::kDenied);
    limited_ = verdict.bucket != nullptr;
    if (gateway_.has_room(pick->provider)) return ask(*pick, std::move(verdict.labels));
    avoid.push_back(pick->provider);
  }
  if (avoid.size() > tried_.size()) {
    wait_for_room();
  } else {
    wait_for_routes();
  }
}

void Opening::ask(const RouteTable::Pick& pick, std::vector<std::string> labels) {
  leave_line();
  Session* session = gateway_.session_of(pick.provider);
  provider_ = pick.provider;
  policy_ = pick.policy;
  bool sent = false;
  if (session != nullptr) {
    asked_ = session->terms_to_ask(request_.gate.protocol);
    asked_.host = pick.service_host;
    sent = session->open_channel(channel_, *this, request_.gate.port, asked_, [&](uint32_t channel) {
      return encode_fingerprint(
          {id_, opened_at_ms_, request_.gate.protocol, request_.gate.port, channel, request_.client, request_.listener, labels}, asked_);
    });
  }
  if (!sent) return back_off();
  early_ = pick.early && may_be_early(*session);
  if (early_) session->begin_early(channel_, early_data_);
  phase_ = Phase::kAsked;
  asked_at_ = context_.runtime.now();
  gateway_.routes_.open_started(request_.gate, provider_);
  timer_.arm(asked_at_ + std::min(hedge_after(), context_.limits.open_request_timeout));
}

/// A limited client's bytes wait for its limit. What all openings keep is bounded.
bool Opening::may_be_early(const Session& session) {
  if (limited_ || !session.remote_features().early) return false;
  if (!holds_early_place_ && gateway_.early_openings_ < context_.limits.max_early_openings) {
    ++gateway_.early_openings_;
    holds_early_place_ = true;
  }
  return holds_early_place_;
}

/// How long this provider may be silent before another one is asked: several times what it took lately.
Duration Opening::hedge_after() const {
  const Duration usual = gateway_.routes_.latency_of(request_.gate, provider_);
  if (usual == Duration{}) return context_.limits.open_hedge;
  return std::min(std::max<Duration>(8 * usual, context_.limits.open_hedge_least), context_.limits.open_hedge);
}

void Opening::on_timer() {
  switch (phase_) {
    case Phase::kAsked:
      return asked_timer();
    case Phase::kFailing: {
      const auto self = leave();
      return handler_.on_channel_closed(reason_);
    }
    case Phase::kBackOff:
    case Phase::kWaiting:
      // Every provider has had its chance: begin again with all of them.
      if (!gateway_.routes_.pick(request_.gate, context_.runtime.now(), tried_)) tried_.clear();
      return attempt();
  }
}

void Opening::asked_timer() {
  const TimePoint now = context_.runtime.now();
  const TimePoint deadline = std::min(asked_at_ + context_.limits.open_request_timeout, give_up_at_);
  const bool expired = now >= deadline;
  if (!expired && !other_may_answer(now)) {
    timer_.arm(std::min(deadline, now + hedge_after()));
    return;
  }
  gateway_.routes_.open_failed(request_.gate, provider_, now);
  channel_.session_->abandon_opening(channel_);
  tried_.push_back(provider_);
  timed_out_ = true;
  if (expired) {
    back_off();
  } else {
    attempt();
  }
}

bool Opening::other_may_answer(TimePoint now) const {
  std::vector<PublicKey> avoid = tried_;
  avoid.push_back(provider_);
  for (const PublicKey& provider : gateway_.routes_.providers_of(request_.gate, now))
    if (!gateway_.has_room(provider)) avoid.push_back(provider);
  return gateway_.routes_.has_healthy(request_.gate, now, avoid);
}

void Opening::back_off() {
  const Limits& limits = context_.limits;
  const auto spread = std::max<int64_t>(1, to_ms(limits.find_route_retry_max - limits.find_route_retry_min));
  phase_ = Phase::kBackOff;
  timer_.arm(context_.runtime.now() + limits.find_route_retry_min +
             std::chrono::milliseconds(context_.runtime.rng().below(static_cast<uint32_t>(spread))));
}

void Opening::wait_for_routes() {
  if (!tried_.empty() && gateway_.routes_.pick(request_.gate, context_.runtime.now(), {})) return back_off();
  phase_ = Phase::kWaiting;
  timer_.arm(give_up_at_);
}

/// UDP flows, of which anybody can make up any number, are not in the line: they ask again later.
void Opening::wait_for_room() {
  tried_.clear();
  back_off();
  if (!place_ && request_.gate.protocol == Protocol::kTcp) place_ = gateway_.line_.insert(gateway_.line_.end(), this);
}

void Opening::leave_line() {
  if (place_) gateway_.line_.erase(*place_);
  place_.reset();
}

void Opening::go_on() {
  if (phase_ == Phase::kBackOff) attempt();
}

void Opening::routes_changed() {
  if (phase_ == Phase::kWaiting) attempt();
}

void Opening::stray_error(Session& session, uint16_t gate_port) {
  if (phase_ != Phase::kAsked || channel_.session_ != &session || request_.gate.port != gate_port) return;
  session.abandon_opening(channel_);
  on_open_refused("the provider has no such service");
}

void Opening::give_up(CloseReason reason) {
  if (phase_ == Phase::kAsked) {
    gateway_.routes_.open_cancelled(request_.gate, provider_);
    channel_.session_->abandon_opening(channel_);
  }
  fail(reason);
}

void Opening::fail(CloseReason reason) {
  Counters& counters = context_.counters;
  switch (reason) {
    case CloseReason::kDenied:
      ++counters.refused_ingress;
      break;
    case CloseReason::kRefused:
      ++counters.refused_by_provider;
      break;
    case CloseReason::kTimeout:
      ++counters.refused_timeout;
      break;
    case CloseReason::kStopping:
      ++counters.refused_stopping;
      break;
    default:
      ++counters.refused_no_route;
  }
  HG_LOG(kDebug, kLog, "gate {}/{}: client {}:{}: {}", request_.gate.port, protocol_name(request_.gate.protocol), request_.client.ip,
         request_.client.port, close_reason_text(reason));
  // Told in a turn of its own: the caller may be inside Gateway::open() or a session's dispatch.
  phase_ = Phase::kFailing;
  reason_ = reason;
  timer_.arm(context_.runtime.now());
}

void Opening::on_open_confirmed(std::string_view json) {
  if (phase_ != Phase::kAsked) return;
  const OpenTerms granted = parse_terms(json);
  gateway_.routes_.open_succeeded(request_.gate, provider_, context_.runtime.now() - asked_at_);
  ChannelHandler& handler = handler_;
  Session* session = channel_.session_;
  const auto self = leave();
  session->complete_opening(channel_, asked_, granted, early_ ? bytes_in(early_data_.ahead()) : 0);
  if (!gateway_.admissions_.admit(channel_, request_.gate, request_.client.ip, {provider_, policy_, asked_.host})) {
    ++context_.counters.refused_ingress;
    return channel_.close_for(CloseReason::kDenied);
  }
  if (early_) {
    session->say(channel_, early_data_.behind());
  } else {
    session->repeat(channel_, early_data_.all());
  }
  handler.on_channel_open();
}

void Opening::on_open_refused(const std::string& why) {
  if (phase_ != Phase::kAsked) return;
  const TimePoint now = context_.runtime.now();
  const std::string line = fmt::format("gate {}/{}: provider {} refused: {}", request_.gate.port, protocol_name(request_.gate.protocol),
                                       to_hex(ByteView(provider_).first(4)), why);
  if (context_.notices.due(line, now)) HG_LOG(kInfo, kLog, "{}", line);
  gateway_.routes_.open_failed(request_.gate, provider_, now);
  tried_.push_back(provider_);
  if (gateway_.routes_.pick(request_.gate, now, tried_)) return attempt();
  fail(CloseReason::kRefused);
}

void Opening::on_open_session_lost() {
  if (phase_ != Phase::kAsked) return;
  gateway_.routes_.open_cancelled(request_.gate, provider_);
  phase_ = Phase::kWaiting;
  attempt();
}

void Opening::on_open_cancelled() {
  if (phase_ == Phase::kAsked) {
    gateway_.routes_.open_cancelled(request_.gate, provider_);
    channel_.session_->abandon_opening(channel_);
  }
  const auto self = leave();
}

}  // namespace hg::tunnel
