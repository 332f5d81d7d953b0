// The provider's side of a UDP flow: a connected socket of its own towards the service, joined to one channel.
//
//   connect_to(): name resolved ─▶ socket ─▶ accept() ─▶ one message per datagram both ways
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
  static constexpr size_t kMaxDatagrams = 64;
  static constexpr size_t kMaxBytes = 262144;

  /// False: dropped.
  bool push(ByteView datagram) {
    if (datagrams_.size() >= kMaxDatagrams || bytes_ + datagram.size() > kMaxBytes) return false;
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
  std::vector<Bytes> datagrams_;
  size_t bytes_ = 0;
};

class UdpLink final : public Link, public tunnel::ChannelHandler {
 public:
  UdpLink(LinkContext& context, LinkSet& owner) : context_(context), owner_(owner) { touch(context.loop.now()); }
  ~UdpLink() override { *alive_ = false; }

  void connect_to(tunnel::ServiceRequest request, std::unique_ptr<tunnel::Channel> channel);
  void expire();

  void on_channel_data(ByteView data) override;
  void on_channel_end() override {}
  void on_channel_sendable() override {}
  void on_channel_closed(tunnel::CloseReason reason) override;

 private:
  void resolved(const Expected<std::vector<io::SocketAddress>>& addresses);
  void refuse(const Error& error);
  bool send(ByteView data);
  void finish();

  LinkContext& context_;
  LinkSet& owner_;
  tunnel::ServiceRequest request_;
  std::unique_ptr<io::LocalUdp> socket_;
  Bytes header_;  // before the first datagram, or each
  std::unique_ptr<tunnel::Channel> channel_;
  DatagramQueue early_;
  bool finished_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hg::relay
