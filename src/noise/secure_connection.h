// The encrypted stream of Hyperswarm (@hyperswarm/secret-stream 6.9) over one UDX stream.
//
//   out: write(plain) ─▶ [u24 length][tag ‖ body ‖ mac] sealed in place ─▶ udx::Stream
//   in:  udx::Stream ─▶ FrameReader ─▶ open in place ─▶ on_data (one per message)
//
//   constructed ── our header unit goes out ──▶ waiting ── remote header verified: on_open ──▶ open ──▶ closed
//
// Message boundaries are kept. An empty message is a keepalive: one goes out after 5 s without a
// write, received ones are swallowed. Liveness is our own (liveness.h): a silent peer is asked for a sign
// of life (HEARTBEAT, which every UDX peer answers), and without one the connection fails with ETIMEDOUT.
// There is no half-open state: when the other side ends, this side ends too.
//
// Between two ends that allow_moves() (secure_connection_path.cc) the connection outlives its path: while
// the peer is silent it is held, and goes on over the path of a fresh connection (move_to), or at the
// address that the peer proves to have now (path_follower.h). Every byte arrives once, in order.
//
// Without a handler nothing is delivered and nothing lost: reading pauses. Owns the UDX stream, and the
// socket it runs on where that is nobody else's (`attachment`). Owned by whoever got it from peer; one
// thread. Sizes in bytes.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/runtime.h"
#include "base/timer.h"
#include "crypto/secretstream.h"
#include "noise/connection.h"
#include "noise/frame_reader.h"
#include "noise/keys.h"
#include "noise/liveness.h"
#include "noise/path_follower.h"
#include "noise/unordered.h"
#include "udx/udx.h"

namespace hg::noise {

/// What one end tells the other of a connection that is to go on over the path of a fresh one.
struct Continuation {
  Hash32 session{};                           // SecureConnection::session_id() of the older one
  uint32_t remote_stream_id = 0;              // its UDX stream at the other end
  std::optional<ByteArray<32>> pair_token{};  // should the fresh one's path be a relay's: under which that stream is paired there, too
};

enum class PathEvent { kMovable, kSilent, kAnswering };

class SecureConnection final : public Connection, private ByteStreamHandler {
 public:
  /// Length prefix and secretstream's tag in front, its MAC behind.
  static constexpr size_t kHeadroom = FrameReader::kLengthBytes + 1;
  static constexpr size_t kTailroom = 16;
  static constexpr size_t kHeaderUnit = 56;            // stream id ‖ secretstream header
  static constexpr size_t kUnprovenWindow = 64 << 10;  // a JavaScript peer's first flight is 14 KiB, ours 32 packets
  static constexpr size_t kMaxMessage = (1u << 24) - 1 - crypto::SecretStreamCipher::kOverhead;  // u24 length
  static constexpr Duration kKeepAlive = 5s;                                                     // hyperdht 6.34 connectionKeepAlive
  static constexpr Duration kLongSilence = 5s;  // what was known of the path counts for nothing after it
  static constexpr size_t kMaxFormerPaths = 3;
  static constexpr Duration kKeepFormerPath = 30s;  // the peer may go on using it for a moment

  using CloseObserver = std::function<void(const std::optional<Error>&)>;
  using UnorderedHandler = std::function<void(ByteView)>;
  using PathObserver = std::function<void(PathEvent)>;

  /// `stream` is connected, and was made with a receive window of kUnprovenWindow: anybody may write to it until the remote header has
  /// verified, which makes it the usual one. The header unit is sent at once. `attachment` is let go after the stream.
  SecureConnection(Runtime& runtime, std::unique_ptr<udx::Stream> stream, const SessionKeys& keys, std::shared_ptr<void> attachment = {});
  /// Silent; a connection that is still open is destroyed, and the close observer is told.
  ~SecureConnection() override;

  // ByteStream
  void set_handler(hg::ByteStreamHandler* handler) override;
  bool write(Buffer bytes) override;
  size_t write_headroom() const override { return kHeadroom + stream_->write_headroom(); }
  size_t write_tailroom() const override { return kTailroom + stream_->write_tailroom(); }
  size_t write_size() const override { return stream_->write_size(); }
  size_t queued_bytes() const override { return stream_->queued_bytes(); }
  void pause_reading() override;
  void resume_reading() override;
  void end() override;
  void destroy() override;

  // Connection
  const PublicKey& remote_key() const override { return remote_key_; }
  const PublicKey& local_key() const override { return local_key_; }
  bool is_initiator() const override { return is_initiator_; }
  const Hash64& handshake_hash() const override { return handshake_hash_; }
  ConnectionStats stats() const override;
  bool send_unordered(ByteView message) override;
  void set_unordered_handler(UnorderedHandler handler) override;
  void limit_messages(size_t bytes) override;
  void allow_moves() override;
  bool answering() const override { return !liveness_.silent(); }
  void set_answering_handler(std::function<void(bool)> handler) override { on_answering_ = std::move(handler); }

  /// The remote header has arrived and verified.
  bool open() const { return decrypt_.has_value(); }
  /// The stream below is closed (a handler set from now on hears of it).
  bool closed() const { return closed_; }
  /// Destroys with the error that on_close is to report.
  void destroy(Error error);
  void send_keepalive();
  /// Told once, before the handler's on_close, or by the destructor. Must not destroy the connection.
  void set_close_observer(CloseObserver observer) { close_observer_ = std::move(observer); }
  /// Where its packets go at present. The socket is not to be used once the connection is closed.
  struct Path {
    UdpSocket* socket = nullptr;
    Endpoint remote{};
  };
  Path path() const { return {stream_->socket(), stream_->remote()}; }
  /// Says that the path runs through a relay (nullopt: no longer); for stats() and whoever looks for a direct one.
  void set_relay(const std::optional<PublicKey>& relay) { relay_ = relay; }
  bool relayed() const { return relay_.has_value(); }

  /// Messages, keepalives included (hyperswarm's rule for duplicate connections asks for them).
  uint64_t messages_sent() const { return messages_sent_; }
  uint64_t messages_received() const { return messages_received_; }
  /// Memory held for reassembly.
  size_t reassembly_bytes() const { return reader_.capacity() + stash_.capacity(); }

  // The path (secure_connection_path.cc).
  bool movable() const { return liveness_.patient(); }
  /// Told of events of a connection that may move. Must not destroy it.
  void set_path_observer(PathObserver observer) { path_observer_ = std::move(observer); }
  /// Names this connection to its other end without telling anybody else anything.
  Hash32 session_id() const;
  uint32_t udx_id() const { return stream_->id(); }
  /// The path may have changed: the peer is asked for a sign of life at once.
  void test_path();
  /// Set by peer when both ends agreed in the handshake that this connection only brings a path for an older one.
  const std::optional<Continuation>& continuation() const { return continuation_; }
  void set_continuation(const std::optional<Continuation>& continuation) { continuation_ = continuation; }
  /// Goes on over the path of `fresh`, whose continuation() names this connection; what was under way is sent again. `fresh` can be let go
  /// of some time later.
  void move_to(SecureConnection& fresh);
  /// Goes on over `path`, where the other end is stream `remote_stream_id`, likewise; `attachment` belongs to that path.
  void move_to(const Path& path, uint32_t remote_stream_id, std::shared_ptr<void> attachment);

 private:
  // ByteStreamHandler, from the UDX stream
  void on_data(ByteView data) override;
  void on_data_end_of_burst() override;
  void on_end() override;
  void on_drain() override;
  void on_close(const std::optional<Error>& error) override;

  void send_header(const ByteArray<32>& tx);
  bool seal_and_send(Buffer message);
  void process(ByteView bytes);
  void refuse_unit();
  void on_header(ByteView unit);
  void refuse_header();
  void on_message(MutableBytes unit);
  bool blocked() const { return handler_ == nullptr || paused_; }
  void stash(ByteView bytes);
  void continue_reading();
  void deliver_end();
  void deliver_open();
  void deliver_close();
  void on_tick();
  void check_liveness();
  Liveness::View liveness_view() const;
  void arm_tick();
  UnorderedBox& unordered();
  void on_unordered(ByteView envelope);

  struct FormerPath {
    UdpSocket* socket;
    std::shared_ptr<void> attachment;
    TimePoint left_at;
  };
  PathPlace place() const { return {stream_->socket(), stream_->remote()}; }
  void on_path_packet(UdpSocket& socket, const Endpoint& from, bool fits);
  void on_path_message(const PathMessage& message);
  void follow_peer();
  void follow_to(const PathPlace& there);
  void relocate(UdpSocket& socket, const Endpoint& remote, uint32_t remote_id);
  FormerPath* former(const UdpSocket* socket);
  void leave_path();
  void forget_former_paths(TimePoint now);
  void on_answering_again();
  void tell(PathEvent event);

  Runtime& runtime_;
  std::shared_ptr<void> attachment_;
  std::vector<FormerPath> former_;
  std::unique_ptr<udx::Stream> stream_;
  hg::ByteStreamHandler* handler_ = nullptr;
  CloseObserver close_observer_;
  UnorderedHandler unordered_handler_;

  bool is_initiator_;
  PublicKey remote_key_;
  PublicKey local_key_;
  Hash64 handshake_hash_;
  std::optional<PublicKey> relay_;
  ByteArray<32> rx_;
  std::optional<crypto::SecretStreamCipher> encrypt_;
  std::optional<crypto::SecretStreamCipher> decrypt_;
  std::unique_ptr<UnorderedBox> unordered_;

  FrameReader reader_;
  size_t message_limit_ = kMaxMessage;
  Bytes stash_;  // received while reading was paused
  uint64_t messages_sent_ = 0;
  uint64_t messages_received_ = 0;
  uint64_t messages_at_last_tick_ = 0;

  bool paused_ = false;
  bool stream_paused_ = false;
  bool ended_ = false;
  bool destroyed_ = false;
  bool closed_ = false;
  bool open_pending_ = false;        // on_open is still to be delivered
  bool remote_end_pending_ = false;  // on_end, likewise
  bool close_pending_ = false;       // closed gracefully with data still to be read
  bool close_undelivered_ = false;   // closed without a handler
  std::optional<Error> failure_;

  TimePoint opened_at_;
  TimePoint last_write_;
  Liveness liveness_;
  std::optional<PathFollower> follower_;
  PathPlace arrival_;  // of the packet being taken in; no socket: its numbers do not fit
  std::optional<Continuation> continuation_;
  bool relocated_ = false;  // since the peer fell silent
  TimePoint silent_since_{};
  std::function<void(bool)> on_answering_;
  PathObserver path_observer_;
  Timer tick_;
  Timer resume_;
};

}  // namespace hg::noise
