// One UDX stream: joins the receiving and the sending half, talks to the handler and keeps the timers.
//
//   created ─ connect() ─▶ connected ─ both directions ended and acknowledged ─▶ closed, on_close(nullopt)
//      │                      ├─ destroy() ─▶ DESTROY sent ─▶ closed, on_close(nullopt)
//      │                      ├─ DESTROY received ─▶ closed, on_close(ECONNRESET)
//      └─ destroy() ─▶ closed ├─ peer silent ─▶ closed, on_close(ETIMEDOUT)
//                             └─ peer answers, but its next packet never gets through ─▶ DESTROY sent ─▶ closed, on_close(ETIMEDOUT)
//
// on_packet() delivers data and notes what to do; flush() does it once per batch: end of burst, end, packets, one ack.
// Without a handler nothing is lost: data, end and close wait until one is set.
// Owner: whoever created it. One thread.
#pragma once

#include "udx/datagram_run.h"
#include "udx/mux_core.h"
#include "udx/receiver.h"
#include "udx/sender.h"

namespace hg::udx {

class StreamImpl final : public Stream {
 public:
  StreamImpl(MuxCore& core, uint32_t id, const StreamOptions& options);
  ~StreamImpl() override;

  // ByteStream
  void set_handler(ByteStreamHandler* handler) override;
  bool write(Buffer bytes) override;
  size_t write_headroom() const override { return 0; }
  size_t write_tailroom() const override { return 0; }
  size_t write_size() const override;
  size_t queued_bytes() const override { return tx_.queued_bytes(); }
  void pause_reading() override;
  void resume_reading() override;
  void end() override;
  void destroy() override;

  // Stream
  uint32_t id() const override { return id_; }
  void set_firewall(Firewall firewall) override { firewall_ = std::move(firewall); }
  void connect(UdpSocket& socket, const Endpoint& remote, uint32_t remote_id) override;
  bool connected() const override { return tx_.place().socket != nullptr && !closed_; }
  void change_remote(UdpSocket& socket, const Endpoint& remote, uint32_t remote_id, std::function<void()> done) override;
  void relocate(UdpSocket& socket, const Endpoint& remote, uint32_t remote_id) override;
  void retry_now() override;
  UdpSocket* socket() const override { return tx_.place().socket; }
  Endpoint remote() const override { return tx_.place().remote; }
  uint32_t remote_id() const override { return tx_.place().stream_id; }
  bool send_message(ByteView message) override;
  bool send_message_to(UdpSocket& socket, const Endpoint& to, ByteView message) override;
  void set_message_handler(std::function<void(ByteView)> handler) override { on_message_ = std::move(handler); }
  void set_packet_observer(PacketObserver observer) override { observer_ = std::move(observer); }
  TimePoint last_heard() const override { return last_heard_; }
  std::optional<TimePoint> owed_since() const override { return tx_.owed_since(); }
  void set_receive_window(size_t bytes) override;
  void set_dead_after(Duration dead_after) override { tx_.set_dead_after(dead_after); }
  void probe_peer() override;
  StreamStats stats() const override;

  // MuxCore
  bool admits(UdpSocket& socket, const Endpoint& from);
  void on_packet(UdpSocket& socket, const Endpoint& from, const wire::UdxPacket& packet);
  void flush();
  void on_writable();
  bool dirty = false;

 private:
  void on_data_packet(const wire::UdxPacket& packet);
  void deliver(ByteView payload);
  void deliver_kept();
  void update_reading();
  void flush_closed();
  void on_timer();
  void arm_timers(const Sender::SendReport& report);
  bool plausible(const wire::UdxHeader& header) const;
  void note_arrival(UdpSocket& socket, const Endpoint& from, const wire::UdxPacket& packet);
  size_t sack_ranges_allowed() const;
  void send_ack();
  bool send_bare(uint8_t flags);
  wire::UdxHeader message_header() const;
  void send_messages();
  bool window_update_due() const;
  size_t high_water() const;
  void close(std::optional<Error> error, uint8_t last_word_flags, bool linger);
  bool finished() const { return end_notified_ && tx_.end_acked(); }

  MuxCore& core_;
  const uint32_t id_;
  const StreamOptions options_;
  ByteStreamHandler* handler_ = nullptr;
  Firewall firewall_;
  std::function<void(ByteView)> on_message_;
  PacketObserver observer_;
  std::function<void()> on_remote_changed_;
  Receiver rx_;
  Sender tx_;
  DatagramRun messages_;  // of this turn
  Timer timer_;
  Timer pace_timer_;

  TimePoint last_heard_{};
  uint64_t bytes_received_ = 0;
  uint64_t packets_received_ = 0;
  uint32_t advertised_ = 0;
  // Who completed a handshake may have named somebody else's address: until something came from the place itself, acks to it are
  // no larger than what came from elsewhere (RFC 9000, 8.1, allows three times that).
  bool place_heard_ = false;
  size_t ack_credit_ = 0;  // bytes
  std::optional<Error> close_error_;
  bool reading_paused_ = false;
  bool ack_needed_ = false;
  bool delivered_ = false;
  bool drain_wanted_ = false;
  bool end_notified_ = false;
  bool closed_ = false;
  bool close_notified_ = false;
};

}  // namespace hg::udx
