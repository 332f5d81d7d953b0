// How a TcpLink ends: the channel closes, the socket breaks, or both have ended.
#include <cerrno>

#include "relay/tcp_link.h"

namespace hg::relay {

void TcpLink::on_channel_closed(tunnel::CloseReason reason) {
  if (finished_) return;
  using tunnel::CloseReason;
  const bool lost = reason == CloseReason::kPeerLost;
  // A gateway's client that has ended may be gone since, and nobody reads what the service still says.
  const bool unheard = is_service_ && !local_ended_ && (lost || (reason == CloseReason::kRemote && channel_->credited()));
  channel_.reset();
  aborted_ = reason == CloseReason::kAborted || unheard || (lost && !remote_ended_);
  const bool orderly = aborted_ || lost || reason == CloseReason::kRemote || (reason == CloseReason::kStopping && remote_ended_);
  if (socket_ == nullptr || unwritable_) return finish();
  if (!orderly) {
    // What was relayed may be cut short: the client must not take it for a whole answer.
    if (reason == CloseReason::kProtocol || reason == CloseReason::kDenied || reason == CloseReason::kStopping) socket_->reset_on_close();
    return finish();
  }
  closing_ = true;
  remote_ended_ = remote_ended_ || !aborted_;
  linger_timer_.reset();
  socket_->watch_read(false);
  if (queue_.empty()) return after_flush();
  Remainder::Owner& owner = *this;
  remainder_ = std::make_unique<Remainder>(context_.left_behind, owner, queued_bytes());
  context_.left_behind.make_room();
}

void TcpLink::cut_off() {
  ++context_.counters->closed_left_behind;
  socket_->reset_on_close();
  finish();
}

/// Closing a socket with unread input would reset it and could take our last bytes from the other end: read on for a while.
void TcpLink::linger() {
  if (local_ended_) return finish();
  if (linger_timer_ != nullptr) return;
  linger_timer_ = std::make_unique<Timer>(context_.loop.timers(), [this] { finish(); });
  linger_timer_->arm(now() + kLingerTime);
  socket_->watch_read(true);
}

void TcpLink::finish_when_done() {
  if (!local_ended_ || !fin_sent_) return;
  if (channel_ != nullptr) channel_->close();
  finish();
}

/// A service that closes with input it has not read resets, too: what it said is not cut short by that. Whether it had read all cannot be
/// seen, but it had time to where the last came long ago. A client that resets wants no more in either case.
bool TcpLink::may_be_whole(int error) const { return is_service_ && error == ECONNRESET && now() - written_at_ < kLikelyRead; }

void TcpLink::socket_failed(int error) {
  if (channel_ != nullptr) {
    if (may_be_whole(error)) channel_->end();
    channel_->close();
  }
  finish();
}

/// Nothing more goes in, but what was said before may still be there: a service that answers, and closes with a request half read, resets.
void TcpLink::write_failed(int error) {
  if (closing_ || local_ended_) return socket_failed(error);
  written_at_ = now();
  unwritable_ = true;
  cut_short_ = error != EPIPE;  // EPIPE: the reset came behind a FIN
  fin_sent_ = true;
  drop_queue();
  channel_->consumed(channel_->unconsumed());
  linger_timer_ = std::make_unique<Timer>(context_.loop.timers(), [this, error] { socket_failed(error); });
  linger_timer_->arm(now() + kLingerTime);
  socket_->watch_read(true);
}

void TcpLink::finish() {
  if (finished_) return;
  finished_ = true;
  flow_ended();
  connect_.reset();
  if (socket_ != nullptr) {
    socket_->watch_read(false);
    socket_->watch_write(false);
  }
  linger_timer_.reset();
  farewell_.reset();
  remainder_.reset();
  if (shaped_ != nullptr) shaped_->use(nullptr);
  owner_.release(*this);
}

}  // namespace hg::relay
