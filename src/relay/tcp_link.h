// One TCP connection joined to one channel, the same on both sides of the tunnel.
//
//   socket ─read (pull: only what the channel takes now)─▶ channel        local end ─▶ Channel::end()
//   channel ─write, the rest queued─▶ socket ─taken─▶ Channel::consumed()   remote end ─▶ shutdown_write() behind the queue
//
//   gateway:  add socket ─▶ (channel opens; reading, where early() lets it) ─▶ relaying ─▶ both ended ─▶ done
//   provider: connect_to() ─▶ connected: accept() ─▶ relaying …            refused: Channel::refuse()
//   limited client (gateway): reads and writes wait for the bucket's turns; what waits is bounded by the channel's window, or, towards
//   peers without windows, by the burst: beyond it the channel is dropped
//   closed by the peer ─▶ queue written (LeftBehind bounds what waits in it) ─▶ FIN ─▶ what still comes is
//   thrown away, up to kLingerTime ─▶ done;  aborted there, or the peer lost ─▶ queue written ─▶ Farewell: RST ─▶ done
//   socket broken ─▶ Channel::close() without end(): an abort there, too. Where a write finds it, what came before can still be read
//
// Owned by a LinkSet. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/timer.h"
#include "io/tcp.h"
#include "relay/farewell.h"
#include "relay/left_behind.h"
#include "relay/link.h"
#include "relay/link_context.h"
#include "relay/shaped.h"
#include "tunnel/channel.h"

namespace hg::relay {

class TcpLink final : public Link, public tunnel::ChannelHandler, private io::TcpHandler, private Remainder::Owner {
 public:
  TcpLink(LinkContext& context, LinkSet& owner);
  ~TcpLink() override;

  /// Gateway: an accepted client and the channel being opened for it (with this link as its handler).
  void start(std::unique_ptr<io::TcpSocket> socket, std::unique_ptr<tunnel::Channel> channel);
  /// Provider: connects, then accepts or refuses the channel.
  void connect_to(tunnel::ServiceRequest request, std::unique_ptr<tunnel::Channel> channel);
  /// Closes both sides.
  void expire();
  void expire_unless_open();

  void on_channel_open() override;
  void on_channel_limit(std::shared_ptr<tunnel::Bucket> bucket) override;
  void on_channel_data(ByteView data) override;
  void on_channel_end() override;
  void on_channel_sendable() override;
  void on_channel_closed(tunnel::CloseReason reason) override;

 private:
  static constexpr Duration kLingerTime = 5s;    // of a socket that takes no more
  static constexpr Duration kLikelyRead = 1s;    // since it came: a service that resets now broke off
  static constexpr int kMessagesPerTurn = 4;     // then other sockets get their turn
  static constexpr size_t kJoinedBytes = 65536;  // small pieces in the queue are joined up to this

  enum class Pulled { kMore, kEmpty, kFull, kLimited, kStopped };

  void on_readable() override;
  void on_writable() override;
  void on_failure() override { socket_failed(0); }
  size_t under_way() const override { return socket_->unacknowledged(); }
  bool held_back() const override { return shaped_ != nullptr && shaped_->down.waiting(); }
  void cut_off() override;
  bool introduce();
  void connected(Expected<std::unique_ptr<io::TcpSocket>> result);
  Pulled pull();
  void go_on_reading();
  bool over_burst() const;
  void drop_front();
  size_t queued_bytes() const;
  void discard();
  void queue(ByteView data);
  void flush();
  void after_flush();
  void finish_when_done();
  bool may_be_whole(int error) const;
  void socket_failed(int error);
  void write_failed(int error);
  void drop_queue();
  void linger();
  void finish();
  TimePoint now() const { return context_.loop.now(); }

  LinkContext& context_;
  LinkSet& owner_;
  std::unique_ptr<tunnel::ServiceRequest> request_;  // until connected
  std::unique_ptr<io::TcpConnect> connect_;
  std::unique_ptr<io::TcpSocket> socket_;
  std::unique_ptr<tunnel::Channel> channel_;
  std::unique_ptr<Remainder> remainder_;  // closing_, while something is queued
  std::unique_ptr<Timer> linger_timer_;
  std::unique_ptr<Farewell> farewell_;
  std::unique_ptr<ShapedStream> shaped_;  // limited clients only
  std::vector<Bytes> queue_;
  TimePoint written_at_{};
  size_t queue_head_ = 0;   // first unwritten element
  size_t head_offset_ = 0;  // bytes of it already written
  bool is_service_ = false;
  bool local_ended_ = false;
  bool remote_ended_ = false;
  bool fin_sent_ = false;
  bool closing_ = false;     // the channel is gone, the queue is not
  bool aborted_ = false;     // closing_, and the peer's socket broke, or the peer is lost before its end
  bool unwritable_ = false;  // broken, not read to its end
  bool cut_short_ = false;   // unwritable_, and no end was received
  bool finished_ = false;
};

}  // namespace hg::relay
