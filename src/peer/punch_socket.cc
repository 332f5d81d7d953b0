#include "peer/punch_socket.h"

#include "dht/node.h"
#include "nat/punch_plan.h"
#include "udx/udx.h"

namespace hg::peer {

PunchSocket::PunchSocket(PunchSockets& pool, std::unique_ptr<UdpSocket> socket) : pool_(&pool), socket_(std::move(socket)) {
  socket_->set_receiver(this);
}

void PunchSocket::send_probe(const Endpoint& to, bool low_ttl) {
  if (to.port == 0) return;
  const ByteArray<1> probe{0};
  (void)socket_->send(to, probe, low_ttl ? nat::kLowTtl : UdpSocket::kDefaultTtl);
}

void PunchSocket::on_datagram(UdpSocket& socket, const Endpoint& from, ByteView data) {
  if (pool_ == nullptr) return;
  if (data.size() == 1) {
    const auto callback = on_probe_;  // may be replaced from inside
    if (callback) callback(from);
    return;
  }
  if (pool_->mux_.on_datagram(socket, from, data)) return;
  if (pool_ != nullptr) pool_->node_.handle_datagram(socket, from, data);
}

void PunchSocket::on_drained(UdpSocket&) {
  if (pool_ != nullptr) pool_->mux_.on_drained();
}

void PunchSocket::retire() {
  pool_->node_.detach_socket(*socket_);
  pool_->open_.erase(socket_.get());
  socket_->set_receiver(nullptr);
  pool_ = nullptr;
  on_probe_ = nullptr;
}

std::shared_ptr<PunchSocket> PunchSockets::open() {
  if (open_.size() >= kMax) return nullptr;
  auto opened = runtime_.network().open_udp({node_.options().bind_host, 0});
  if (!opened) return nullptr;
  std::shared_ptr<PunchSocket> made(new PunchSocket(*this, std::move(*opened)), [this](PunchSocket* gone) {
    gone->retire();
    runtime_.post([owner = std::shared_ptr<PunchSocket>(gone)] {});
  });
  node_.attach_socket(made->socket());
  open_[&made->socket()] = made;
  return made;
}

std::shared_ptr<PunchSocket> PunchSockets::owner_of(const UdpSocket& socket) const {
  const auto found = open_.find(&socket);
  return found == open_.end() ? nullptr : found->second.lock();
}

}  // namespace hg::peer
