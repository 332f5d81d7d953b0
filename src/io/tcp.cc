#include "io/tcp.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "base/log.h"
#include "io/descriptor_watch.h"
#include "io/local_udp.h"

namespace hg::io {

namespace {

constexpr int kBacklog = 4096;
constexpr size_t kMaxSlices = 64;
constexpr int kMaxAcceptsPerTurn = 64;     // then other sockets get their turn
constexpr Duration kAcceptPause = 100ms;   // out of file descriptors
constexpr Duration kNoticeInterval = 60s;  // of saying so
constexpr Duration kBacklogPause = 15ms;   // between attempts at a Unix socket whose backlog is full: nothing tells when it no longer is
constexpr int kKeepAliveIdleSeconds = 60;
constexpr int kKeepAliveIntervalSeconds = 15;
constexpr int kKeepAliveProbes = 4;

void set_option(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); }

void set_stream_options(int fd, int family) {
  if (family == AF_UNIX) return;
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);  // an urgent byte is a byte of the stream (RFC 6093)
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
}

int pending_error(int fd) {
  int number = 0;
  socklen_t length = sizeof number;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &length);
  return number;
}

/// Closing sends what was written no more, and resets the other end.
void set_reset_on_close(int fd) {
  const linger abort{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
}

class KernelTcpSocket final : public TcpSocket {
 public:
  /// Takes over a watch that a connect began, registration included. `remote`: kept, since the kernel forgets it at a reset.
  KernelTcpSocket(std::unique_ptr<DescriptorWatch> watch, const SocketAddress& remote) : watch_(std::move(watch)), remote_(remote) {
    watch_->set_callbacks(
        [this] {
          if (handler_ != nullptr) handler_->on_readable();
        },
        [this] {
          if (handler_ != nullptr) handler_->on_writable();
        });
  }

  void set_handler(TcpHandler* handler) override { handler_ = handler; }
  void watch_read(bool on) override { watch_->watch_read(on); }
  void watch_write(bool on) override { watch_->watch_write(on); }
  void watch_failure() override {
    watch_->watch_failure([this] {
      if (handler_ != nullptr && pending_error(watch_->fd()) != 0) handler_->on_failure();
    });
  }

  IoResult read(MutableBytes into) override {
    const ssize_t got = ::recv(watch_->fd(), into.data(), into.size(), MSG_DONTWAIT);
    if (got > 0) return {IoResult::Kind::kBytes, static_cast<size_t>(got), 0};
    if (got == 0) return {IoResult::Kind::kEnd, 0, 0};
    return failure(errno);
  }

  IoResult write(std::span<const ByteView> slices) override {
    iovec vectors[kMaxSlices];
    const size_t count = std::min(slices.size(), kMaxSlices);
    for (size_t i = 0; i < count; ++i) vectors[i] = {const_cast<uint8_t*>(slices[i].data()), slices[i].size()};
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(watch_->fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return {IoResult::Kind::kBytes, static_cast<size_t>(sent), 0};
    return failure(errno);
  }

  size_t unacknowledged() const override {
    int bytes = 0;
    return ::ioctl(watch_->fd(), SIOCOUTQ, &bytes) == 0 ? static_cast<size_t>(bytes) : 0;
  }
  void shutdown_write() override { ::shutdown(watch_->fd(), SHUT_WR); }
  void reset_on_close() override { set_reset_on_close(watch_->fd()); }
  SocketAddress local_address() const override { return local_end(watch_->fd()); }
  SocketAddress remote_address() const override { return remote_; }

 private:
  static IoResult failure(int number) {
    if (number == EAGAIN || number == EWOULDBLOCK || number == EINTR) return {IoResult::Kind::kWouldBlock, 0, 0};
    return {IoResult::Kind::kError, 0, number};
  }

  TcpHandler* handler_ = nullptr;
  std::unique_ptr<DescriptorWatch> watch_;
  const SocketAddress remote_;
};

class KernelTcpListener final : public TcpListener {
 public:
  KernelTcpListener(Loop& loop, FileDescriptor fd, std::function<void(std::unique_ptr<TcpSocket>)> on_accept)
      : loop_(loop),
        on_accept_(std::move(on_accept)),
        resume_(loop.timers(), [this] { watch_.watch_read(true); }),
        watch_(
            loop, std::move(fd), [this] { accept_ready(); }, [] {}) {
    watch_.watch_read(true);
  }
  ~KernelTcpListener() override { *alive_ = false; }

  SocketAddress local_address() const override { return local_end(watch_.fd()); }

 private:
  void accept_ready() {
    const std::shared_ptr<bool> alive = alive_;
    for (int i = 0; i < kMaxAcceptsPerTurn; ++i) {
      sockaddr_storage storage{};
      socklen_t length = sizeof storage;
      FileDescriptor fd(::accept4(watch_.fd(), reinterpret_cast<sockaddr*>(&storage), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd.valid()) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) pause(errno);
        return;
      }
      auto watch = std::make_unique<DescriptorWatch>(
          loop_, std::move(fd), [] {}, [] {});
      on_accept_(std::make_unique<KernelTcpSocket>(std::move(watch), SocketAddress(reinterpret_cast<const sockaddr*>(&storage), length)));
      if (!*alive) return;
    }
  }
  void pause(int number) {
    watch_.watch_read(false);
    const TimePoint now = loop_.now();
    resume_.arm(now + kAcceptPause);
    if (now < quiet_until_) return;
    quiet_until_ = now + kNoticeInterval;
    HG_LOG(kWarn, "io", "{}", errno_error(number, "clients of " + local_address().to_string() + " have to wait").message);
  }

  Loop& loop_;
  std::function<void(std::unique_ptr<TcpSocket>)> on_accept_;
  Timer resume_;
  TimePoint quiet_until_{};
  DescriptorWatch watch_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class AddressConnect final : public TcpConnect {
 public:
  AddressConnect(Loop& loop, const SocketAddress& address, Duration timeout, ConnectCallback callback)
      : loop_(loop),
        address_(address),
        callback_(std::move(callback)),
        again_(loop.timers(), [this] { start(); }),
        timeout_(loop.timers(), [this] { finish(errno_error(ETIMEDOUT, "connect to " + address_.to_string())); }) {
    timeout_.arm(loop.now() + timeout);
    start();
  }
  ~AddressConnect() override { *alive_ = false; }

 private:
  void start() {
    FileDescriptor fd(::socket(address_.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return fail_later(errno);
    set_stream_options(fd.get(), address_.family());
    const int result = ::connect(fd.get(), address_.data(), address_.size());
    if (result != 0 && errno == EAGAIN && address_.family() == AF_UNIX) return again_.arm(loop_.now() + kBacklogPause);
    if (result != 0 && errno != EINPROGRESS) return fail_later(errno);
    watch_ = std::make_unique<DescriptorWatch>(
        loop_, std::move(fd), [] {}, [this] { completed(); });
    watch_->watch_write(true);
  }
  void fail_later(int number) {
    timeout_.disarm();
    loop_.post([this, alive = alive_, number] {
      if (*alive) finish(errno_error(number, "connect to " + address_.to_string()));
    });
  }
  void completed() {
    watch_->watch_write(false);
    int number = pending_error(watch_->fd());
    if (number == 0 && is_own_peer(watch_->fd())) {
      set_reset_on_close(watch_->fd());
      watch_.reset();  // the port is the service's
      number = ECONNREFUSED;
    }
    if (number != 0) return finish(errno_error(number, "connect to " + address_.to_string()));
    finish(std::unique_ptr<TcpSocket>(std::make_unique<KernelTcpSocket>(std::move(watch_), address_)));
  }
  void finish(Expected<std::unique_ptr<TcpSocket>> result) {
    again_.disarm();
    timeout_.disarm();
    const auto callback = std::move(callback_);  // it may destroy us
    callback(std::move(result));
  }

  Loop& loop_;
  SocketAddress address_;
  ConnectCallback callback_;
  Timer again_;
  Timer timeout_;
  std::unique_ptr<DescriptorWatch> watch_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class NameConnect final : public TcpConnect {
 public:
  NameConnect(Loop& loop, const std::string& host, uint16_t port, Duration timeout, ConnectCallback callback)
      : loop_(loop), deadline_(loop.now() + timeout), callback_(std::move(callback)) {
    resolve_host(loop, host, port, [this, alive = alive_](Expected<std::vector<SocketAddress>> found) {
      if (!*alive) return;
      if (!found) return finish(found.error());
      addresses_ = std::move(*found);
      try_next();
    });
  }
  ~NameConnect() override { *alive_ = false; }

 private:
  void try_next() {
    const SocketAddress& address = addresses_[next_++];
    const size_t left = addresses_.size() - next_ + 1;
    const Duration share = std::max<Duration>(deadline_ - loop_.now(), 1ms) / static_cast<int64_t>(left);
    attempt_ = tcp_connect(loop_, address, share, [this](Expected<std::unique_ptr<TcpSocket>> result) {
      if (result.ok() || next_ == addresses_.size()) return finish(std::move(result));
      loop_.post([this, alive = alive_] {
        if (*alive) try_next();
      });
    });
  }
  void finish(Expected<std::unique_ptr<TcpSocket>> result) {
    const auto callback = std::move(callback_);
    callback(std::move(result));
  }

  Loop& loop_;
  TimePoint deadline_;
  ConnectCallback callback_;
  std::vector<SocketAddress> addresses_;
  size_t next_ = 0;
  std::unique_ptr<TcpConnect> attempt_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

Expected<std::unique_ptr<TcpListener>> tcp_listen(Loop& loop, const SocketAddress& address,
                                                  std::function<void(std::unique_ptr<TcpSocket>)> on_accept) {
  const std::string what = "cannot listen on " + address.to_string();
  FileDescriptor fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno_error(errno, what);
  if (address.family() != AF_UNIX) set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  set_stream_options(fd.get(), address.family());  // accepted sockets inherit them
  if (address.family() == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (::bind(fd.get(), address.data(), address.size()) != 0 || ::listen(fd.get(), kBacklog) != 0) return errno_error(errno, what);
  return std::unique_ptr<TcpListener>(std::make_unique<KernelTcpListener>(loop, std::move(fd), std::move(on_accept)));
}

std::unique_ptr<TcpConnect> tcp_connect(Loop& loop, const SocketAddress& address, Duration timeout, ConnectCallback callback) {
  return std::make_unique<AddressConnect>(loop, address, timeout, std::move(callback));
}

std::unique_ptr<TcpConnect> tcp_connect(Loop& loop, const std::string& host, uint16_t port, Duration timeout, ConnectCallback callback) {
  if (const auto numeric = SocketAddress::parse(host, port)) return tcp_connect(loop, *numeric, timeout, std::move(callback));
  return std::make_unique<NameConnect>(loop, host, port, timeout, std::move(callback));
}

}  // namespace hg::io
