#include "relay/gate_listener.h"
#include "relay/tcp_link.h"

namespace hg::relay {

namespace {

class TcpGate final : public GateListener {
 public:
  TcpGate(LinkContext& context, tunnel::Gateway& gateway, tunnel::GateKey gate)
      : context_(context), gateway_(gateway), gate_(gate), links_(context.loop) {}

  Expected<void> listen(const io::SocketAddress& address) override {
    auto listener = io::tcp_listen(context_.loop, address, [this](std::unique_ptr<io::TcpSocket> socket) { accept(std::move(socket)); });
    if (!listener) return listener.error();
    listener_ = std::move(*listener);
    address_ = listener_->local_address().to_string();
    return {};
  }
  std::string address() const override { return address_; }
  size_t clients() const override { return links_.size(); }
  void stop_listening() override { listener_.reset(); }
  void close_waiting() override {
    links_.for_each([](Link& link) { static_cast<TcpLink&>(link).expire_unless_open(); });
  }
  void sweep() override {
    links_.sweep(context_.loop.now() - context_.limits.tcp_socket_timeout, [](Link& link) { static_cast<TcpLink&>(link).expire(); });
  }

 private:
  void accept(std::unique_ptr<io::TcpSocket> socket) {
    if (socket->remote_address() == io::SocketAddress()) return;  // nobody that a policy could judge
    TcpLink& link = links_.add(std::make_unique<TcpLink>(context_, links_));
    tunnel::GateRequest request{gate_, client_address(socket->remote_address()), client_address(socket->local_address())};
    link.start(std::move(socket), gateway_.open(request, link));
  }

  LinkContext& context_;
  tunnel::Gateway& gateway_;
  const tunnel::GateKey gate_;
  LinkSet links_;
  std::unique_ptr<io::TcpListener> listener_;
  std::string address_;
};

}  // namespace

std::unique_ptr<GateListener> make_tcp_gate(LinkContext& context, tunnel::Gateway& gateway, tunnel::GateKey gate) {
  return std::make_unique<TcpGate>(context, gateway, gate);
}

}  // namespace hg::relay
