// How much a session takes in and in what order its channels send: windows, pauses, turns.
#include <algorithm>

#include "tunnel/session.h"

namespace hg::tunnel {

namespace {
constexpr size_t kGrants = 4;           // a window: fewer, and the sender runs dry while the grant is on its way
constexpr size_t kShares = 16;          // of what may still be promised: a new channel gets one
constexpr size_t kMostGrant = 1 << 20;  // bytes: what a wide window holds back in its last quarter a long path needs
constexpr size_t kLeastWindow = 8192;   // bytes: below it grants would outnumber the data's own messages

size_t grant_of(size_t window) { return std::min(window / kGrants, kMostGrant); }
}  // namespace

// ---------------------------------------------------------------------------------------------------- flow control

// Credit is what bounds a channel's buffer, so slow readers never hold the connection. Once all is promised the least window shrinks as the
// sum grows, which then follows the square root of the number of channels: 65536 of them get 640 MiB in all, at a provider, where each may
// begin with kEarlyBytes, 2 GiB.
size_t Session::least_window() const {
  const Limits& limits = context_.limits;
  if (promised_ <= limits.max_buffer_per_peer) return limits.min_window;
  const double shrunk =
      static_cast<double>(limits.min_window) * static_cast<double>(limits.max_buffer_per_peer) / static_cast<double>(promised_);
  return std::max(static_cast<size_t>(shrunk), kLeastWindow);
}

// The first channels of a connection get wide windows, of many each gets less.
uint32_t Session::initial_window() const {
  const Limits& limits = context_.limits;
  const size_t left = limits.max_buffer_per_peer - std::min(promised_, limits.max_buffer_per_peer);
  const size_t share = std::min(std::max(left / kShares, least_window()), limits.initial_window);
  return static_cast<uint32_t>(std::min(share, limits.max_buffer_per_channel));
}

void Session::set_window(Channel& channel, size_t window) {
  if (window > channel.window_) channel.receive_credit_ += window - channel.window_;
  promised_ = promised_ - channel.window_ + window;
  channel.window_ = window;
}

void Session::account_received(Channel& channel, size_t bytes) {
  channel.unconsumed_ += bytes;
  if (channel.flow_) {
    channel.receive_credit_ -= bytes;
    return;
  }
  uncredited_ += bytes;
  if (!channel.over_limit_ && channel.unconsumed_ >= context_.limits.max_buffer_per_channel) {
    channel.over_limit_ = true;
    ++over_limit_channels_;
  }
  update_pause();
}

void Session::account_consumed(Channel& channel, size_t bytes) {
  channel.unconsumed_ -= bytes;
  if (channel.flow_) {
    if (channel.end_received_) return;
    channel.since_grant_ += bytes;
    if (channel.since_grant_ >= grant_of(channel.window_)) grant_more(channel);
    return;
  }
  uncredited_ -= bytes;
  if (channel.over_limit_ && channel.unconsumed_ <= context_.limits.max_buffer_per_channel / 2) {
    channel.over_limit_ = false;
    --over_limit_channels_;
  }
  update_pause();
}

// The window doubles while its reader keeps up and a quarter of it goes through within two round trips: then the window is what limits.
void Session::grant_more(Channel& channel) {
  constexpr Duration kFastAnyway = 20ms;
  const TimePoint now = context_.runtime.now();
  const size_t before = channel.window_;
  size_t credit = channel.since_grant_;
  const bool keeps_up = channel.unconsumed_ <= before / 8;
  const size_t doubled = std::min(before * 2, context_.limits.max_buffer_per_channel);
  if (keeps_up && doubled > before && promised_ - before + doubled <= context_.limits.max_buffer_per_peer) {
    const Duration patience = std::max<Duration>(kFastAnyway, 2 * connection_->stats().smoothed_rtt);
    const double quarters = static_cast<double>(kGrants * grant_of(before)) / static_cast<double>(before);
    if (to_seconds(now - channel.last_grant_) <= to_seconds(patience) * quarters) {
      set_window(channel, doubled);
      credit += doubled - before;
    }
  }
  channel.receive_credit_ += channel.since_grant_;
  channel.since_grant_ = 0;
  channel.last_grant_ = now;
  send_frame(make_credit_frame(room(), channel.id_, static_cast<uint32_t>(credit)));
}

void Session::update_pause() {
  const size_t limit = context_.limits.max_buffer_per_peer;
  const bool should = over_limit_channels_ > 0 || uncredited_ >= (paused_ ? limit / 2 : limit);
  if (state_ == State::kClosed || should == paused_) return;
  if (should) {
    paused_ = true;
    ++context_.counters.reads_paused;
    connection_->pause_reading();
    return;
  }
  // Resuming may deliver data at once, and the caller may be in the middle of a channel's callback.
  if (resume_posted_) return;
  resume_posted_ = true;
  context_.runtime.post([this, alive = alive_] {
    if (!*alive) return;
    resume_posted_ = false;
    const bool still = over_limit_channels_ == 0 && uncredited_ < context_.limits.max_buffer_per_peer;
    if (!still || !paused_ || state_ == State::kClosed) return;
    paused_ = false;
    connection_->resume_reading();
  });
}

// ---------------------------------------------------------------------------------------------------- turns

void Session::enqueue_turn(Channel& channel) {
  if (channel.waiting_) return;
  channel.waiting_ = true;
  channel.next_ = nullptr;
  channel.previous_ = turn_last_;
  (turn_last_ == nullptr ? turn_first_ : turn_last_->next_) = &channel;
  turn_last_ = &channel;
  if (backed_up_ || turns_posted_) return;
  turns_posted_ = true;
  context_.runtime.post([this, alive = alive_] {
    if (!*alive) return;
    turns_posted_ = false;
    run_turns();
  });
}

void Session::dequeue_turn(Channel& channel) {
  channel.wants_to_send_ = false;
  if (!channel.waiting_) return;
  channel.waiting_ = false;
  (channel.previous_ == nullptr ? turn_first_ : channel.previous_->next_) = channel.next_;
  (channel.next_ == nullptr ? turn_last_ : channel.next_->previous_) = channel.previous_;
  channel.next_ = nullptr;
  channel.previous_ = nullptr;
}

/// One message per channel and round, until the connection is full or every waiting channel had its turn in this call's first round.
void Session::run_turns() {
  Channel* last = turn_last_;
  while (!backed_up_ && turn_first_ != nullptr) {
    Channel& channel = *turn_first_;
    const bool round_over = &channel == last;
    dequeue_turn(channel);
    if (channel.out_of_credit()) {
      channel.wants_to_send_ = true;
    } else {
      channel.handler_->on_channel_sendable();
    }
    if (round_over) last = turn_last_;
  }
}

// ---------------------------------------------------------------------------------------------------- throughput probe

PathProbe& Session::path_probe() {
  if (!path_probe_)
    path_probe_ = std::make_unique<PathProbe>(
        [this] { return !backed_up_ && !failed_ && state_ == State::kReady; },
        [this](uint32_t wanted_back, size_t filler) { send_frame(make_probe_frame(room(), wanted_back, filler)); });
  return *path_probe_;
}

bool Session::probe(uint32_t bytes, PathProbe::Done done) {
  return ready() && !ending_ && remote_features_.probe && path_probe().ask(bytes, context_.runtime.now(), std::move(done));
}

}  // namespace hg::tunnel
