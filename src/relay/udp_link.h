// The provider's side of a UDP flow: a connected socket of its own towards the service, joined to one channel.
//
//   connect_to(): name resolved ─▶ socket ─▶ accept() ─▶ one message per datagram both ways
//                                    ▲ └─ refused before anything came back: what was said so far is said again
//                                    └──── next address
//
// Owned by a LinkSet. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io/local_udp.h"
#include "relay/link.h"
#include "relay/link_context.h"
#include "tunnel/channel.h"

namespace hg::relay {

/// Datagrams kept apart until they can be sent; beyond the bounds they are dropped and counted.
class DatagramQueue {
 public:
  explicit DatagramQueue(size_t max_datagrams = 64, size_t max_bytes = 262144) : max_datagrams_(max_datagrams), max_bytes_(max_bytes) {}

  /// False: dropped.
  bool push(ByteView datagram) {
    if (datagrams_.size() >= max_datagrams_ || bytes_ + datagram.size() > max_bytes_) return false;
    bytes_ += datagram.size();
    datagrams_.push_back(to_bytes(datagram));
    return true;
  }
  bool empty() const { return datagrams_.empty(); }
  std::vector<Bytes> take() {
    bytes_ = 0;
    return std::exchange(datagrams_, {});
  }

 private:
  const size_t max_datagrams_;
  const size_t max_bytes_;
  std::vector<Bytes> datagrams_;
  size_t bytes_ = 0;
};

class UdpLink final : public Link, public tunnel::ChannelHandler {
 public:
  UdpLink(LinkContext& context, LinkSet& owner) : context_(context), owner_(owner) { touch(context.loop.now()); }
  ~UdpLink() override { *alive_ = false; }

  void connect_to(tunnel::ServiceRequest request, std::unique_ptr<tunnel::Channel> channel);
  /// Closes both sides; the descriptor is free at once.
  void expire();

  void on_channel_data(ByteView data) override;
  void on_channel_end() override {}
  void on_channel_sendable() override {}
  void on_channel_closed(tunnel::CloseReason reason) override;

 private:
  // Kept of the first words to a service that may have to hear them at another address: a burst of small ones, or one of any size.
  static constexpr size_t kMaxUnheard = 8;
  static constexpr size_t kMaxUnheardBytes = 65536;

  void resolve(bool may_repeat);
  void resolved(Expected<std::vector<io::SocketAddress>> addresses);
  Expected<void> open_next();
  Expected<std::unique_ptr<io::LocalUdp>> open(const io::SocketAddress& address);
  void introduce();
  bool make_room(const Error& failure);
  void from_service(ByteView data);
  void service_refused();
  void refuse(const Error& error);
  void say(ByteView data);
  bool send(ByteView data);
  void finish();

  LinkContext& context_;
  LinkSet& owner_;
  tunnel::ServiceRequest request_;
  std::vector<io::SocketAddress> addresses_;  // until one has answered
  size_t next_ = 0;                           // the first of them that was not tried
  DatagramQueue unheard_{kMaxUnheard, kMaxUnheardBytes};
  std::unique_ptr<io::LocalUdp> socket_;
  Bytes header_;  // before the first datagram, or each; empty once a service has it
  std::unique_ptr<tunnel::Channel> channel_;
  DatagramQueue early_;
  bool unproven_ = true;  // nothing came from the service yet, or since it refused
  bool finished_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hg::relay
