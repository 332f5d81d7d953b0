// One encrypted connection to another member of the router.
//
//   kHello ──remote hello verified──▶ kReady ──▶ kClosed        (hello sent first, nothing else before the remote's is verified)
//      └─ forged: ban · stale, replayed, none in time: dropped · provider to provider: ban
//
// Frames are dispatched by channel id through one hash map. Outgoing messages go to the connection in the order they are made, so an end or
// close is always behind its channel's data; bulk data is pulled from the sockets one message per channel and turn whenever the connection
// has room, so control messages never wait behind more than the connection's own queue.
//
// Owned by Node; owns the connection. One thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "base/log.h"
#include "base/runtime.h"
#include "noise/connection.h"
#include "tunnel/channel.h"
#include "tunnel/counters.h"
#include "tunnel/early_data.h"
#include "tunnel/fingerprint.h"
#include "tunnel/hello.h"
#include "tunnel/limits.h"
#include "tunnel/path_probe.h"
#include "tunnel/rare_notice.h"
#include "tunnel/routes.h"

namespace hg::tunnel {

/// What all parts of a node share; outlives them.
struct Context {
  Runtime& runtime;
  const Limits& limits;
  const RouterKeys& router;
  Counters& counters;
  uint32_t& last_channel_id;  // channel ids are unique per gateway
  RareNotice& notices;        // what a peer's every attempt would log anew
};

class SessionEvents {
 public:
  virtual ~SessionEvents() = default;
  virtual void on_session_ready(Session& session) = 0;
  /// The peer must not be met again.
  virtual void on_session_ban(Session& session, const std::string& why) = 0;
  virtual void on_session_routes(Session& session, ByteView json) = 0;
  /// A gateway asks for a channel; answer with accept() or refuse(), now or later. Destroying it closes it.
  virtual void on_session_open_request(Session& session, std::unique_ptr<Channel> channel, const OpenBody& request) = 0;
  /// An error answer on channel 0, as TypeScript providers send for a service they do not have.
  virtual void on_session_stray_error(Session& session, const std::string& text) = 0;
  /// The connection is gone, the channels are still attached: drop_channels() is due. The owner lets the session go later, not inside this
  /// call.
  virtual void on_session_closed(Session& session, const std::optional<Error>& error) = 0;
  virtual void on_session_channel_released(Session& session) = 0;
  /// has_room() again.
  virtual void on_session_room(Session& session) = 0;
  /// The peer fell silent and the session is held for it, or it answers again.
  virtual void on_session_answering(Session& session, bool answering) = 0;
};

class Session final : public ByteStreamHandler {
 public:
  enum class State { kHello, kReady, kClosed };

  Session(const Context& context, std::unique_ptr<noise::Connection> connection, HelloVerifier& verifier, bool says_gateway,
          int64_t hello_ms, SessionEvents& events);
  ~Session() override;

  State state() const { return state_; }
  bool ready() const { return state_ == State::kReady; }
  /// Its hello was accepted, whatever became of it since.
  bool met() const { return met_; }
  /// The peer's hello is still waited for.
  bool greeting() const { return state_ == State::kHello && !failed_; }
  /// Ends it: others wait for their hello, too, and have come later.
  void make_room() { fail("HELLO_OVERTAKEN", "no hello yet, and many others are waited for", log::Level::kDebug); }
  const PublicKey& remote_key() const { return connection_->remote_key(); }
  bool remote_is_gateway() const { return remote_is_gateway_; }
  noise::ConnectionStats stats() const { return connection_->stats(); }
  TimePoint since() const { return since_; }
  /// The peer's clock minus ours, as its hello showed.
  int64_t clock_skew_ms() const { return clock_skew_ms_; }
  const Features& remote_features() const { return remote_features_; }
  /// The key under which the remote member relays for others.
  const std::optional<PublicKey>& remote_relay() const { return remote_relay_; }
  void set_remote_relay(const std::optional<PublicKey>& relay) { remote_relay_ = relay; }
  void set_remote_features(const Features& features);
  bool answering() const { return connection_->answering(); }
  size_t channel_count() const { return channels_.size(); }
  /// For another open request. Only requests count here: what channels send waits for its turn, and never holds up a request.
  bool has_room() const { return opening_backlog_ < context_.limits.max_opening_backlog; }

  /// Gateway: attaches `channel` under a fresh id and sends the open message made by `fingerprint(id)`, which asks for `asked`. False: too
  /// many channels.
  template <class MakeFingerprint>
  bool open_channel(Channel& channel, ChannelOpener& opener, uint16_t gate_port, const OpenTerms& asked, MakeFingerprint&& fingerprint) {
    const auto id = attach_opening(channel, opener, asked);
    if (!id) return false;
    send_opening(make_open_frame(room(), *id, gate_port, channel.protocol(), fingerprint(*id)));
    return true;
  }
  /// Takes a channel that is being opened off this session (close is sent) so that it can be opened elsewhere.
  void abandon_opening(Channel& channel);
  /// Gateway, behind open_channel(): the channel may send before the confirmation, kEarlyBytes in all; `kept` goes first.
  void begin_early(Channel& channel, const EarlyData& kept);
  /// What was said to another provider, the channel's end with it, is said again.
  void repeat(Channel& channel, std::span<const Bytes> said);
  void say(Channel& channel, std::span<const Bytes> pieces);
  /// Gateway: the provider confirmed: what we asked (and granted it), what it granted us, how much of that is used already.
  void complete_opening(Channel& channel, const OpenTerms& asked, const OpenTerms& granted, size_t used);
  /// What to ask of this provider when a channel is opened.
  OpenTerms terms_to_ask(Protocol protocol) const;

  /// Nothing while the peer is silent: it is told anew when it answers.
  void send_routes(std::string_view json);
  /// Detaches every channel and tells its handler or opener.
  void drop_channels(CloseReason reason);
  /// Closes the UDP flows that were quiet for `quiet`; the time at which the next one will have been (max: there is none).
  TimePoint close_quiet_flows(Duration quiet);
  /// close(0), then the end of the stream.
  void end();
  void destroy();

  /// Measures the path with filler: see PathProbe::ask(). False also where the peer cannot.
  bool probe(uint32_t bytes, PathProbe::Done done);

  // ByteStreamHandler
  void on_data(ByteView data) override;
  void on_end() override;
  void on_drain() override;
  void on_close(const std::optional<Error>& error) override;

 private:
  friend class Channel;

  Room room() const { return {connection_->write_headroom(), connection_->write_tailroom()}; }
  void send_frame(Buffer frame);
  void send_opening(Buffer frame);
  void fail(const char* code, std::string message, log::Level level = log::Level::kInfo);

  bool dispatch(ByteView payload);
  void handle_hello(const Message& message);
  void handle_open(const Message& message);
  void handle_stream(const Message& message);
  void handle_unordered(ByteView message);
  void handle_close(const Message& message);
  void handle_end(const Message& message);
  void handle_credit(const Message& message);
  void handle_request(const Message& message);

  std::optional<uint32_t> attach_opening(Channel& channel, ChannelOpener& opener, const OpenTerms& asked);
  uint32_t fresh_id();
  bool is_own_id(uint32_t id) const;
  Channel* find(uint32_t id) const;
  void detach(Channel& channel);
  void close_from_here(Channel& channel);

  void accept(Channel& channel);
  void refuse(Channel& channel, std::string_view why);
  void account_received(Channel& channel, size_t bytes);
  void account_consumed(Channel& channel, size_t bytes);
  void grant_more(Channel& channel);
  void update_pause();
  size_t least_window() const;
  uint32_t initial_window() const;
  void set_window(Channel& channel, size_t window);

  PathProbe& path_probe();
  void enqueue_turn(Channel& channel);
  void dequeue_turn(Channel& channel);
  void run_turns();

  const Context& context_;
  std::unique_ptr<noise::Connection> connection_;
  HelloVerifier& verifier_;
  SessionEvents& events_;
  const bool says_gateway_;
  bool met_ = false;
  State state_ = State::kHello;
  bool remote_is_gateway_ = false;
  bool backed_up_ = false;  // write() said so; on_drain() ends it
  bool paused_ = false;     // we stopped reading the connection
  bool ending_ = false;
  bool failed_ = false;
  TimePoint since_;
  int64_t clock_skew_ms_ = 0;
  Timer hello_timer_;
  Features remote_features_;
  std::optional<PublicKey> remote_relay_;
  FrameReader reader_;
  std::unique_ptr<PathProbe> path_probe_;  // once one side asks
  std::unordered_map<uint32_t, Channel*> channels_;
  bool opened_any_ = false;
  size_t uncredited_ = 0;  // bytes received and not yet taken by the local sockets, over the channels without flow
  size_t over_limit_channels_ = 0;
  size_t promised_ = 0;          // sum of the receive windows, asked for ones included
  size_t datagram_backlog_ = 0;  // bytes since the connection became backed up
  size_t opening_backlog_ = 0;   // likewise, of requests and what is repeated behind them
  Channel* turn_first_ = nullptr;
  Channel* turn_last_ = nullptr;
  bool turns_posted_ = false;
  bool resume_posted_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hg::tunnel
