// Sockets of their own for hole punching: each has a NAT mapping of its own.
//
//   datagram ─ 1 byte ─▶ on_probe     ─ UDX ─▶ Mux     ─ dht-rpc ─▶ Node
//
// Shared ownership, for the one reason that the socket a punch succeeded on must live as long as the
// stream that runs on it: SecureConnection keeps it as its attachment. Letting go of the last reference
// inside a datagram callback is fine (the socket is destroyed by post()). Must not outlive node and mux.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "base/runtime.h"

namespace hg::dht {
class Node;
}
namespace hg::udx {
class Mux;
}

namespace hg::peer {

class PunchSockets;

class PunchSocket final : public UdpReceiver {
 public:
  PunchSocket(PunchSockets& pool, std::unique_ptr<UdpSocket> socket);
  ~PunchSocket() override = default;

  UdpSocket& socket() { return *socket_; }
  /// One zero byte; low TTL: opens our own NAT only.
  void send_probe(const Endpoint& to, bool low_ttl);
  void set_on_probe(std::function<void(const Endpoint&)> callback) { on_probe_ = std::move(callback); }

 private:
  friend class PunchSockets;
  void on_datagram(UdpSocket& socket, const Endpoint& from, ByteView data) override;
  void on_drained(UdpSocket& socket) override;
  void retire();

  PunchSockets* pool_;  // null once retired
  std::unique_ptr<UdpSocket> socket_;
  std::function<void(const Endpoint&)> on_probe_;
};

class PunchSockets {
 public:
  static constexpr size_t kMax = 768;  // open at a time, all punches together; a process has 1024 descriptors at least

  PunchSockets(Runtime& runtime, dht::Node& node, udx::Mux& mux) : runtime_(runtime), node_(node), mux_(mux) {}

  /// A fresh socket on a random port; null when the system has none left or kMax are open.
  std::shared_ptr<PunchSocket> open();
  /// The owner of a socket that open() made; null for others (the node's).
  std::shared_ptr<PunchSocket> owner_of(const UdpSocket& socket) const;

 private:
  friend class PunchSocket;
  Runtime& runtime_;
  dht::Node& node_;
  udx::Mux& mux_;
  std::unordered_map<const UdpSocket*, std::weak_ptr<PunchSocket>> open_;
};

}  // namespace hg::peer
