#include "tunnel/channel.h"

#include <algorithm>
#include <cassert>

#include "tunnel/admission.h"
#include "tunnel/session.h"

namespace hg::tunnel {

namespace {
constexpr size_t kEarlyDatagramCost = 64;  // of the credit, beside its bytes: also many empty ones come to an end
}

std::string_view close_reason_text(CloseReason reason) {
  switch (reason) {
    case CloseReason::kRemote:
      return "closed by the peer";
    case CloseReason::kAborted:
      return "broken off at the peer";
    case CloseReason::kPeerLost:
      return "connection to the peer lost";
    case CloseReason::kProtocol:
      return "the peer broke the protocol";
    case CloseReason::kNoRoute:
      return "no route in time";
    case CloseReason::kTimeout:
      return "no provider answered in time";
    case CloseReason::kRefused:
      return "refused by the provider";
    case CloseReason::kDenied:
      return "denied by the ingress policy";
    case CloseReason::kStopping:
      return "stopping";
  }
  return "closed";
}

Channel::Channel(Protocol protocol, ChannelHandler* handler) : protocol_(protocol), handler_(handler) {}

Channel::~Channel() { close(); }

void Channel::set_admission(std::unique_ptr<Admission> admission) { admission_ = std::move(admission); }

void Channel::limit(std::shared_ptr<Bucket> bucket) {
  if (handler_ != nullptr) handler_->on_channel_limit(std::move(bucket));
}

void Channel::close_for(CloseReason reason) {
  ChannelHandler* handler = handler_;
  close();
  if (handler != nullptr) handler->on_channel_closed(reason);
}

void Channel::accept() {
  if (state_ == State::kOpening && session_ != nullptr && opener_ == nullptr) session_->accept(*this);
}

void Channel::refuse(std::string_view why) {
  if (state_ == State::kOpening && session_ != nullptr && opener_ == nullptr) session_->refuse(*this, why);
}

size_t Channel::sendable() const {
  if (!may_send() || session_->backed_up_) return 0;
  const size_t most = std::min(kMaxStreamBody, session_->connection_->write_size());
  return flow_ || early_ ? static_cast<size_t>(std::min<uint64_t>(send_credit_, most)) : most;
}

void Channel::wait_to_send() {
  if (!may_send()) return;
  if (out_of_credit()) {
    wants_to_send_ = true;
  } else {
    session_->enqueue_turn(*this);
  }
}

Room Channel::buffer_room() const {
  const Room room = session_ == nullptr ? Room{} : session_->room();
  return {room.headroom + kFrameHeaderBytes, room.tailroom};
}

void Channel::count_sent(size_t bytes) {
  session_->context_.counters.bytes_to_peers += bytes;
  if (traffic_ != nullptr) traffic_->to_peers += bytes;
}

void Channel::count_received(size_t bytes) {
  session_->context_.counters.bytes_from_peers += bytes;
  if (traffic_ != nullptr) traffic_->from_peers += bytes;
}

bool Channel::send(Buffer data) {
  assert(may_send() && !data.empty() && data.size() <= kMaxStreamBody);
  if (!may_send() || data.empty()) return false;
  count_sent(data.size());
  if (early_ && !opener_->on_early_data(data.view())) {
    send_credit_ = 0;
    return false;
  }
  if (flow_ || early_) send_credit_ -= std::min<uint64_t>(send_credit_, data.size());
  prepend_frame(data, Action::kStream, id_);
  session_->send_frame(std::move(data));
  return sendable() > 0;
}

bool Channel::send_early_datagram(ByteView datagram) {
  const size_t cost = datagram.size() + kEarlyDatagramCost;
  if (!may_send() || session_->backed_up_ || cost > send_credit_) return false;
  send_credit_ -= cost;
  opener_->on_early_data(datagram);
  count_sent(datagram.size());
  session_->send_frame(make_frame(session_->room(), Action::kStream, id_, datagram));
  return true;
}

bool Channel::send_datagram(ByteView datagram) {
  if (early_) return send_early_datagram(datagram);
  if (state_ != State::kOpen) return false;
  Counters& counters = session_->context_.counters;
  last_datagram_ = session_->context_.runtime.now();
  if (datagram.size() > max_datagram_) {
    ++counters.datagrams_too_big;
    return false;
  }
  if (unordered_ && session_->connection_->send_unordered(make_unordered_datagram(id_, datagram))) {
    count_sent(datagram.size());
    return true;
  }
  if (session_->backed_up_) {
    if (session_->datagram_backlog_ + datagram.size() > session_->context_.limits.max_datagram_backlog) {
      ++counters.datagrams_backlog;
      return false;
    }
    session_->datagram_backlog_ += datagram.size();
  }
  count_sent(datagram.size());
  session_->send_frame(make_frame(session_->room(), Action::kStream, id_, datagram));
  return true;
}

void Channel::end() {
  if (!may_send()) return;
  end_sent_ = true;
  session_->dequeue_turn(*this);
  session_->send_frame(make_frame(session_->room(), Action::kEnd, id_));
}

void Channel::close() {
  if (state_ == State::kClosed) return;
  if (opener_ != nullptr) {
    ChannelOpener* opener = opener_;
    opener->on_open_cancelled();
    return;
  }
  if (session_ != nullptr) session_->close_from_here(*this);
  state_ = State::kClosed;
}

void Channel::consumed(size_t bytes) {
  bytes = std::min(bytes, unconsumed_);
  if (bytes == 0) return;
  if (session_ != nullptr) {
    session_->account_consumed(*this, bytes);
  } else {
    unconsumed_ -= bytes;
  }
}

}  // namespace hg::tunnel
