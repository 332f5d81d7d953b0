#include "relay/udp_link.h"

#include "base/log.h"
#include "tunnel/proxy_protocol.h"

namespace hg::relay {

namespace {
constexpr std::string_view kLog = "relay";
}

void UdpLink::connect_to(tunnel::ServiceRequest request, std::unique_ptr<tunnel::Channel> channel) {
  request_ = std::move(request);
  const std::string& host = request_.service.service_host;
  const uint16_t port = request_.service.service_port;
  channel_ = std::move(channel);
  channel_->set_handler(this);
  if (const auto numeric = io::SocketAddress::parse(host, port)) return resolved(std::vector<io::SocketAddress>{*numeric});
  resolve(true);
}

void UdpLink::resolve(bool may_repeat) {
  const auto found = [this, alive = alive_, may_repeat](Expected<std::vector<io::SocketAddress>> addresses) {
    if (!*alive || finished_) return;
    if (!addresses && may_repeat && make_room(addresses.error())) return resolve(false);
    resolved(std::move(addresses));
  };
  context_.resolve(context_.loop, request_.service.service_host, request_.service.service_port, found);
}

void UdpLink::resolved(Expected<std::vector<io::SocketAddress>> addresses) {
  if (!addresses) return refuse(addresses.error());
  addresses_ = std::move(*addresses);
  if (const auto opened = open_next(); !opened) return refuse(opened.error());
  channel_->accept();
  for (const Bytes& datagram : early_.take()) on_channel_data(datagram);
}

/// A socket towards the first of the addresses left that the system can reach.
Expected<void> UdpLink::open_next() {
  Error failure;
  while (next_ < addresses_.size()) {
    const io::SocketAddress address = addresses_[next_++];
    auto socket = open(address);
    if (!socket) {
      failure = socket.error();
      continue;
    }
    socket_ = std::move(*socket);
    socket_->set_handler([this](const io::SocketAddress&, ByteView data) { from_service(data); });
    socket_->on_refused([this] { service_refused(); });
    flow_ended();
    follow(announce_flow(context_, request_, channel_->id(), socket_->local_address(), address));
    introduce();
    return {};
  }
  return failure;
}

void UdpLink::introduce() {
  header_ = tunnel::make_proxy_header(request_.service.proxy_header, tunnel::Protocol::kUdp, request_.fingerprint, request_.gateway);
}

Expected<std::unique_ptr<io::LocalUdp>> UdpLink::open(const io::SocketAddress& address) {
  auto socket = io::udp_connect(context_.loop, address);
  if (!socket && make_room(socket.error())) return io::udp_connect(context_.loop, address);
  return socket;
}

/// Out of file descriptors, a new flow gets those of the longest idle ones.
bool UdpLink::make_room(const Error& failure) {
  if (failure.code != "EMFILE" && failure.code != "ENFILE") return false;
  return owner_.make_room(*this, [this](Link& link) {
    ++context_.counters->udp_flows_evicted;
    static_cast<UdpLink&>(link).expire();
  });
}

void UdpLink::from_service(ByteView data) {
  if (finished_) return;
  if (unproven_) {
    unproven_ = false;
    request_.health->note_connected(context_.loop.now());
    addresses_.clear();
    unheard_.take();
  }
  touch(context_.loop.now());
  channel_->send_datagram(data);
}

void UdpLink::service_refused() {
  if (finished_) return;
  if (next_ >= addresses_.size()) {
    unproven_ = true;
    introduce();  // the one that listens next has not heard who this is
    return request_.health->note_refused(context_.loop.now(), "nothing listens on its UDP port");
  }
  const std::vector<Bytes> unheard = unheard_.take();
  if (!open_next()) return;
  for (const Bytes& datagram : unheard) say(datagram);
}

void UdpLink::refuse(const Error& error) {
  ++context_.counters->refused_connect_failed;
  request_.health->note_refused(context_.loop.now(), error.message);
  if (context_.notices.due(error.message, context_.loop.now())) HG_LOG(kWarn, kLog, "service: {}", error.message);
  channel_->refuse(error.message);
  finish();
}

void UdpLink::on_channel_data(ByteView data) {
  if (finished_) return;
  touch(context_.loop.now());
  if (socket_ == nullptr) {
    if (!early_.push(data)) ++context_.counters->datagrams_backlog;
  } else {
    say(data);
  }
}

void UdpLink::say(ByteView data) {
  if (next_ < addresses_.size()) unheard_.push(data);
  if (!send(data)) ++context_.counters->datagrams_not_sent;
}

bool UdpLink::send(ByteView data) {
  if (header_.empty()) return socket_->send(data);
  Bytes introduced = header_;
  append_bytes(introduced, data);
  // One that does not fit with the header is lost; were the header lost with it, the client's next could begin with one of its own.
  if (!socket_->send(introduced)) return false;
  if (request_.service.proxy_header != tunnel::ProxyHeader::kV2Each) header_.clear();
  return true;
}

void UdpLink::on_channel_closed(tunnel::CloseReason) { finish(); }

void UdpLink::expire() {
  if (finished_) return;
  channel_->close();
  socket_.reset();
  finish();
}

void UdpLink::finish() {
  if (finished_) return;
  finished_ = true;
  flow_ended();
  owner_.release(*this);
}

}  // namespace hg::relay
