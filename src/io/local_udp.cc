#include "io/local_udp.h"

#include <netinet/in.h>

#include "io/descriptor_watch.h"
#include "io/packet_info.h"

namespace hg::io {

namespace {

constexpr size_t kMaxDatagram = 65536;
constexpr int kMaxPerTurn = 64;        // then other sockets get their turn
constexpr int kBufferBytes = 4 << 20;  // best effort

Expected<FileDescriptor> open_socket(const SocketAddress& address) {
  FileDescriptor fd(::socket(address.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno_error(errno, "cannot make a UDP socket for " + address.to_string());
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kBufferBytes, sizeof kBufferBytes);
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kBufferBytes, sizeof kBufferBytes);
  return fd;
}

Expected<FileDescriptor> open_connected(const SocketAddress& address) {
  auto fd = open_socket(address);
  if (!fd) return fd.error();
  if (::connect(fd->get(), address.data(), address.size()) != 0) return errno_error(errno, "cannot reach UDP " + address.to_string());
  return fd;
}

class KernelLocalUdp final : public LocalUdp {
 public:
  KernelLocalUdp(Loop& loop, FileDescriptor fd)
      : loop_(loop),
        bound_(local_end(fd.get())),
        on_all_addresses_(is_wildcard(bound_)),
        arrived_at_(bound_),
        watch_(
            loop, std::move(fd), [this] { receive(); }, [] {}) {
    if (on_all_addresses_) ask_for_arrival(watch_.fd(), bound_.family());
    watch_.watch_read(true);
  }
  ~KernelLocalUdp() override { *alive_ = false; }

  void set_handler(Handler handler) override { handler_ = std::move(handler); }
  bool send_to(const SocketAddress& to, ByteView data) override {
    return ::sendto(watch_.fd(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL, to.data(), to.size()) >= 0;
  }
  bool send_from(const SocketAddress& source, const SocketAddress& to, ByteView data) override {
    if (!on_all_addresses_ || source == bound_) return send_to(to, data);
    iovec vector{const_cast<uint8_t*>(data.data()), data.size()};
    msghdr message{};
    message.msg_name = const_cast<sockaddr*>(to.data());
    message.msg_namelen = to.size();
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    SourceControl control(source);
    control.attach_to(message);
    return ::sendmsg(watch_.fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
  }
  bool send(ByteView data) override {
    if (send_once(data)) return true;
    if (errno != ECONNREFUSED) return false;
    // That was about an earlier datagram; this one has not been sent yet.
    loop_.post([this, alive = alive_] {
      if (*alive && refused_) refused_();
    });
    return send_once(data);
  }
  void on_refused(std::function<void()> refused) override { refused_ = std::move(refused); }
  SocketAddress local_address() const override { return bound_; }
  const SocketAddress& arrived_at() const override { return arrived_at_; }

 private:
  bool send_once(ByteView data) { return ::send(watch_.fd(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0; }

  void receive() {
    static thread_local std::unique_ptr<uint8_t[]> area(new uint8_t[kMaxDatagram]);
    const std::shared_ptr<bool> alive = alive_;
    for (int i = 0; i < kMaxPerTurn; ++i) {
      sockaddr_storage from{};
      alignas(cmsghdr) uint8_t control[kArrivalBytes];
      iovec vector{area.get(), kMaxDatagram};
      msghdr message{};
      message.msg_name = &from;
      message.msg_namelen = sizeof from;
      message.msg_iov = &vector;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = on_all_addresses_ ? sizeof control : 0;
      const ssize_t got = ::recvmsg(watch_.fd(), &message, MSG_DONTWAIT);
      if (got < 0) {  // nothing more, or an ICMP error of an earlier send: a lost datagram
        if (errno == ECONNREFUSED && refused_) refused_();
        return;
      }
      if (on_all_addresses_) arrived_at_ = arrival_of(message, bound_);
      if (handler_)
        handler_(SocketAddress(reinterpret_cast<const sockaddr*>(&from), message.msg_namelen), {area.get(), static_cast<size_t>(got)});
      if (!*alive) return;
    }
  }

  Loop& loop_;
  const SocketAddress bound_;
  const bool on_all_addresses_;
  SocketAddress arrived_at_;
  Handler handler_;
  std::function<void()> refused_;
  DescriptorWatch watch_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

Expected<std::unique_ptr<LocalUdp>> udp_bind(Loop& loop, const SocketAddress& address) {
  auto fd = open_socket(address);
  if (!fd) return fd.error();
  if (address.family() == AF_INET6) {
    const int off = 0;
    setsockopt(fd->get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  if (::bind(fd->get(), address.data(), address.size()) != 0) return errno_error(errno, "cannot bind UDP " + address.to_string());
  return std::unique_ptr<LocalUdp>(std::make_unique<KernelLocalUdp>(loop, std::move(*fd)));
}

Expected<std::unique_ptr<LocalUdp>> udp_connect(Loop& loop, const SocketAddress& address) {
  auto fd = open_connected(address);
  if (!fd) return fd.error();
  if (is_own_peer(fd->get())) {
    auto another = open_connected(address);  // while the first still has that port
    if (!another) return another.error();
    *fd = std::move(*another);
  }
  return std::unique_ptr<LocalUdp>(std::make_unique<KernelLocalUdp>(loop, std::move(*fd)));
}

}  // namespace hg::io
