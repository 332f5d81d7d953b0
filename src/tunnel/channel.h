// One client's connection (or UDP flow) through a session, seen from the local socket's side.
//
//   gateway:  Gateway::open() ─▶ kOpening ──confirmed──▶ kOpen ─▶ kClosed
//   provider: open request    ─▶ kOpening ──accept()───▶ kOpen ─▶ kClosed      (refuse() instead of accept(): kClosed)
//
// Sending is by pull: read from the socket only while sendable() > 0, at most that much, into a Buffer with buffer_room(), and send() it;
// else stop watching the socket and wait_to_send(): on_channel_sendable() comes in turn with the other channels of the session, one message
// a turn. Receiving: on_channel_data() hands over everything; consumed() says how much of it the local socket has taken, which is what lets
// the peer (feature "flow") or the whole connection (without it) go on. TCP only: datagrams are not accounted.
//
// Owned by the local side; destroying it closes the channel. A handler may destroy the channel inside any callback. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "tunnel/frames.h"
#include "tunnel/traffic.h"

namespace hg::tunnel {

class Admission;
class Bucket;
class Session;

enum class CloseReason {
  kRemote,    // the peer closed it: pass on what is queued, then end the socket
  kAborted,   // the same, but the peer's socket broke before its end: pass on what is queued, then reset the socket
  kPeerLost,  // the connection to the peer is gone: the data may be cut short, reset the socket
  kProtocol,  // the peer broke the rules
  kNoRoute,   // gateway: no provider within the time
  kTimeout,   // gateway: providers did not answer
  kRefused,   // gateway: every provider answered with an error
  kDenied,    // gateway: ingress policy
  kStopping,  // one of the two ends for all its channels: what the peer did not end is cut short
};
std::string_view close_reason_text(CloseReason reason);

class ChannelHandler {
 public:
  virtual ~ChannelHandler() = default;
  /// Gateway: the provider confirmed; sending may begin.
  virtual void on_channel_open() {}
  /// Gateway: what this client's channels may use together from now on; nullptr: no limit. Before on_channel_open(), and again at a change.
  virtual void on_channel_limit(std::shared_ptr<Bucket>) {}
  /// `data` is valid during the call only. UDP: one datagram, may be empty.
  virtual void on_channel_data(ByteView data) = 0;
  /// The peer half-closed: no more data comes.
  virtual void on_channel_end() = 0;
  /// After wait_to_send(): this channel's turn to send one message.
  virtual void on_channel_sendable() = 0;
  /// The last call; the channel is detached already.
  virtual void on_channel_closed(CloseReason reason) = 0;
};

/// The gateway's part of a channel that is not confirmed yet.
class ChannelOpener {
 public:
  virtual ~ChannelOpener() = default;
  virtual void on_open_confirmed(std::string_view json) = 0;
  virtual void on_open_refused(const std::string& why) = 0;
  virtual void on_open_session_lost() = 0;
  /// The local side said this before the confirmation: kept; false: it must not go ahead, and nothing more is to be read.
  virtual bool on_early_data(ByteView data) = 0;
  /// The local side closed or destroyed the channel.
  virtual void on_open_cancelled() = 0;
};

class Channel {
 public:
  enum class State { kOpening, kOpen, kClosed };

  Channel(Protocol protocol, ChannelHandler* handler);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  void set_handler(ChannelHandler* handler) { handler_ = handler; }
  /// Where its payload counts beside the node's counters.
  void count_in(std::shared_ptr<Traffic> traffic) { traffic_ = std::move(traffic); }
  Protocol protocol() const { return protocol_; }
  State state() const { return state_; }
  uint32_t id() const { return id_; }
  /// Gateway, kOpening: data may be sent already.
  bool early() const { return early_; }
  /// nullptr while a gateway looks for a route, and once closed.
  const Session* session() const { return session_; }

  // Provider: answers the open request, once.
  void accept();
  void refuse(std::string_view why);

  /// Bytes send() takes now: 0 while neither open nor early(), backed up, or without credit; at most kMaxStreamBody, on a slow path less.
  size_t sendable() const;
  /// Without effect behind end().
  void wait_to_send();
  /// Head and tail room that a Buffer for send() needs.
  Room buffer_room() const;
  /// One stream message of 1 to sendable() bytes; true while more may be sent. What must not go ahead of the confirmation waits for it.
  bool send(Buffer data);
  /// One datagram, in state kOpen; false when it was dropped (and counted): too big for the wire, or too much queued. Goes beside the
  /// stream where both sides can and it fits a packet, else on the stream. While early(): false when it has to wait until then.
  bool send_datagram(ByteView datagram);
  /// Largest datagram the peer takes in one message.
  size_t max_datagram() const { return max_datagram_; }
  /// Half-close, behind what was sent.
  void end();
  /// Ends the channel on both sides, behind what was sent; no callback follows.
  void close();
  /// The same, and the handler hears why.
  void close_for(CloseReason reason);

  // Gateway: see admission.h.
  void set_admission(std::unique_ptr<Admission> admission);
  void limit(std::shared_ptr<Bucket> bucket);

  /// The peer sends only what consumed() lets it: what waits here is bounded by the window.
  bool credited() const { return flow_; }
  void consumed(size_t bytes);
  /// Bytes handed over and not yet consumed.
  size_t unconsumed() const { return unconsumed_; }

 private:
  friend class Session;
  friend class Opening;

  bool may_send() const { return session_ != nullptr && !end_sent_ && (state_ == State::kOpen || early_); }
  bool send_early_datagram(ByteView datagram);
  void count_sent(size_t bytes);
  void count_received(size_t bytes);
  bool out_of_credit() const { return (flow_ || early_) && send_credit_ == 0; }

  const Protocol protocol_;
  State state_ = State::kOpening;
  bool flow_ = false;       // credit in both directions
  bool early_ = false;      // kOpening: send_credit_ may be used
  bool unordered_ = false;  // datagrams that fit a packet go beside the stream
  bool end_sent_ = false;
  bool end_received_ = false;
  bool waiting_ = false;        // in the session's turn list
  bool wants_to_send_ = false;  // waits for credit
  bool over_limit_ = false;     // without flow: holds the whole connection
  uint32_t id_ = 0;
  uint32_t gate_port_ = 0;  // provider: echoed in the confirmation
  ChannelHandler* handler_;
  Session* session_ = nullptr;
  ChannelOpener* opener_ = nullptr;
  std::unique_ptr<Admission> admission_;  // while attached to a session
  std::shared_ptr<Traffic> traffic_;
  Channel* next_ = nullptr;  // turn list
  Channel* previous_ = nullptr;
  uint64_t send_credit_ = 0;     // bytes we may still send
  uint64_t receive_credit_ = 0;  // bytes the peer may still send
  size_t unconsumed_ = 0;
  size_t since_grant_ = 0;  // consumed and not yet granted again
  size_t window_ = 0;       // what the peer may have under way towards our socket
  size_t max_datagram_ = kMaxStreamBody;
  TimePoint last_grant_{};
  TimePoint last_datagram_{};  // either way; before the first: when it opened
};

}  // namespace hg::tunnel
