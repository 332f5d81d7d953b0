// A UDP gate: one flow, and one channel, per client address and, of a gate on all addresses, the one it asked.
#include <list>
#include <unordered_map>

#include "relay/gate_listener.h"
#include "relay/shaped.h"
#include "relay/udp_link.h"

namespace hg::relay {

namespace {

class UdpGate;

/// Between whom a flow's datagrams go.
struct Ends {
  io::SocketAddress client;
  io::SocketAddress gate;
  bool operator==(const Ends&) const = default;
};
struct EndsHash {
  size_t operator()(const Ends& ends) const { return ends.client.hash() * 31 + ends.gate.hash(); }
};

/// Owned by its gate; in the gate's order of use.
class UdpFlow final : public tunnel::ChannelHandler {
 public:
  UdpFlow(UdpGate& gate, const Ends& ends) : gate_(gate), ends_(ends) {}

  void from_client(ByteView datagram);
  void on_channel_open() override;
  void on_channel_limit(std::shared_ptr<tunnel::Bucket> bucket) override;
  void on_channel_data(ByteView data) override;
  void on_channel_end() override {}
  void on_channel_sendable() override {}
  void on_channel_closed(tunnel::CloseReason reason) override;

  void to_client(ByteView datagram);
  void over_burst();
  /// No callback and no datagram follow.
  void close();

  UdpGate& gate_;
  const Ends ends_;
  std::unique_ptr<ShapedDatagrams> up_;  // both for limited clients only
  std::unique_ptr<ShapedDatagrams> down_;
  std::unique_ptr<tunnel::Channel> channel_;
  DatagramQueue early_;
  TimePoint last_activity_{};
  std::list<UdpFlow*>::iterator place_;
};

class UdpGate final : public GateListener {
 public:
  UdpGate(LinkContext& context, tunnel::Gateway& gateway, tunnel::GateKey gate) : context_(context), gateway_(gateway), gate_(gate) {}
  ~UdpGate() override { *alive_ = false; }

  Expected<void> listen(const io::SocketAddress& address) override {
    if (socket_ == nullptr) {
      if (const auto bound = bind(address); !bound) return bound;
    }
    stopped_ = false;
    return {};
  }
  std::string address() const override { return address_; }
  size_t clients() const override { return flows_.size(); }
  void stop_listening() override {
    stopped_ = true;
    free_port();
  }
  void close_waiting() override {
    for (UdpFlow* flow : std::list(by_use_))
      if (flow->channel_->state() == tunnel::Channel::State::kOpening) drop(*flow);
  }
  void sweep() override {
    const TimePoint idle_since = context_.loop.now() - context_.limits.udp_socket_timeout;
    while (!by_use_.empty() && by_use_.front()->last_activity_ <= idle_since) drop(*by_use_.front());
  }

  void touch(UdpFlow& flow) {
    flow.last_activity_ = context_.loop.now();
    by_use_.splice(by_use_.end(), by_use_, flow.place_);
  }
  /// Closes and forgets the flow; its object goes in the next task.
  void drop(UdpFlow& flow) {
    flow.close();
    const auto found = flows_.find(flow.ends_);
    by_use_.erase(flow.place_);
    dropped_.push_back(std::move(found->second));
    flows_.erase(found);
    if (dropped_.size() > 1) return;
    context_.loop.post([this, alive = alive_] {
      if (!*alive) return;
      dropped_.clear();
      free_port();
    });
  }
  tunnel::Counters& counters() { return *context_.counters; }
  io::LocalUdp& socket() { return *socket_; }

 private:
  Expected<void> bind(const io::SocketAddress& address) {
    auto socket = io::udp_bind(context_.loop, address);
    if (!socket) return socket.error();
    socket_ = std::move(*socket);
    address_ = socket_->local_address().to_string();
    socket_->set_handler([this](const io::SocketAddress& from, ByteView data) { from_client({from, socket_->arrived_at()}, data); });
    return {};
  }
  void free_port() {
    if (stopped_ && flows_.empty() && dropped_.empty()) socket_.reset();
  }
  void from_client(const Ends& ends, ByteView data) {
    auto found = flows_.find(ends);
    if (found == flows_.end()) {
      if (stopped_) return;
      if (!gateway_.takes_flow(gate_)) {
        ++counters().datagrams_backlog;
        return;
      }
      if (flows_.size() >= context_.limits.max_udp_flows_per_gate) {
        ++counters().udp_flows_evicted;
        drop(*by_use_.front());
      }
      auto flow = std::make_unique<UdpFlow>(*this, ends);
      flow->place_ = by_use_.insert(by_use_.end(), flow.get());
      flow->channel_ = gateway_.open({gate_, client_address(ends.client), client_address(ends.gate)}, *flow);
      found = flows_.emplace(ends, std::move(flow)).first;
    }
    UdpFlow& flow = *found->second;
    touch(flow);
    flow.from_client(data);
  }

  LinkContext& context_;
  tunnel::Gateway& gateway_;
  const tunnel::GateKey gate_;
  std::string address_;
  std::unique_ptr<io::LocalUdp> socket_;  // nullptr: stopped, and the last flow gone
  std::unordered_map<Ends, std::unique_ptr<UdpFlow>, EndsHash> flows_;
  std::list<UdpFlow*> by_use_;  // longest idle first
  std::vector<std::unique_ptr<UdpFlow>> dropped_;
  bool stopped_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

void UdpFlow::from_client(ByteView datagram) {
  if (channel_->early() && early_.empty() && channel_->send_datagram(datagram)) return;
  if (channel_->state() == tunnel::Channel::State::kOpen) {
    if (up_ == nullptr)
      channel_->send_datagram(datagram);
    else if (!up_->push(datagram))
      over_burst();
  } else if (!early_.push(datagram)) {
    ++gate_.counters().datagrams_backlog;
  }
}

void UdpFlow::on_channel_open() {
  const std::vector<Bytes> early = early_.take();
  size_t sent = 0;
  for (; sent < early.size() && (up_ == nullptr || up_->push(early[sent])); ++sent) {
    if (up_ == nullptr) channel_->send_datagram(early[sent]);
  }
  if (sent < early.size()) over_burst();
}

void UdpFlow::on_channel_limit(std::shared_ptr<tunnel::Bucket> bucket) {
  if (up_ == nullptr) {
    if (bucket == nullptr) return;
    up_ = std::make_unique<ShapedDatagrams>([this](ByteView datagram) { channel_->send_datagram(datagram); });
    down_ = std::make_unique<ShapedDatagrams>([this](ByteView datagram) { to_client(datagram); });
  }
  up_->use(bucket);
  down_->use(std::move(bucket));
}

/// The next datagram of this client begins a new flow, under the same bucket.
void UdpFlow::over_burst() {
  ++gate_.counters().closed_shaping;
  gate_.drop(*this);
}

void UdpFlow::close() {
  channel_->close();
  up_.reset();
  down_.reset();
}

void UdpFlow::on_channel_data(ByteView data) {
  gate_.touch(*this);
  if (down_ != nullptr) {
    if (!down_->push(data)) over_burst();
    return;
  }
  to_client(data);
}

void UdpFlow::to_client(ByteView datagram) {
  if (!gate_.socket().send_from(ends_.gate, ends_.client, datagram)) ++gate_.counters().datagrams_not_sent;
}

void UdpFlow::on_channel_closed(tunnel::CloseReason) { gate_.drop(*this); }

}  // namespace

std::unique_ptr<GateListener> make_udp_gate(LinkContext& context, tunnel::Gateway& gateway, tunnel::GateKey gate) {
  return std::make_unique<UdpGate>(context, gateway, gate);
}

}  // namespace hg::relay
