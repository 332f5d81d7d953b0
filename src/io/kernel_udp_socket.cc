// UDP under the DHT and UDX: batches both ways.
//
//   1. the socket becomes readable (one wait per turn)
//   2. recvmmsg() fills kBatch buffers; with UDP_GRO one buffer holds many equally long datagrams
//   3. each datagram goes to the receiver; repeat until the kernel has no more or kMaxRounds is reached
//   4. on_drained() once
//   Send: sendmsg() with UDP_SEGMENT cuts one buffer list into datagrams; a kernel or device that refuses
//   (EIO, EINVAL, ENOPROTOOPT) switches this socket to one datagram a call.
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstring>

#include "io/file_descriptor.h"
#include "io/local_udp.h"
#include "io/loop.h"
#include "io/udp_network.h"

namespace hg::io {

namespace {

constexpr size_t kBatch = 8;             // buffers per recvmmsg
constexpr size_t kBufferSize = 65536;    // a GRO buffer holds up to 64 KiB
constexpr int kMaxRounds = 4;            // then timers and other sockets get their turn
constexpr int kReceiveBuffer = 4 << 20;  // bytes asked for; the reference asks for 1 MiB
constexpr int kSendBuffer = 2 << 20;     // bytes asked for; the reference's 212992 is three GSO calls
constexpr int kTtl = 64;                 // dht-rpc's default TTL
constexpr size_t kMaxGsoSegments = 64;   // UDP_MAX_SEGMENTS of older kernels
constexpr size_t kMaxGsoBytes = 65000;   // below the 65507 bytes of one UDP payload
constexpr size_t kMaxSlices = 192;
constexpr size_t kIpUdpHeader = 28;

sockaddr_in to_sockaddr(const Endpoint& endpoint) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_addr.s_addr = htonl(endpoint.address);
  out.sin_port = htons(endpoint.port);
  return out;
}

Endpoint to_endpoint(const sockaddr_in& address) { return {ntohl(address.sin_addr.s_addr), ntohs(address.sin_port)}; }

// Receive memory is shared by all sockets of the thread: only one reads at a time.
struct ReceiveArea {
  std::unique_ptr<uint8_t[]> memory{new uint8_t[kBatch * kBufferSize]};  // untouched pages cost nothing
  mmsghdr messages[kBatch];
  iovec vectors[kBatch];
  sockaddr_in sources[kBatch];
  alignas(cmsghdr) char control[kBatch][CMSG_SPACE(sizeof(int))];

  void prepare() {
    for (size_t i = 0; i < kBatch; ++i) {
      vectors[i] = {memory.get() + i * kBufferSize, kBufferSize};
      messages[i] = {};
      messages[i].msg_hdr.msg_name = &sources[i];
      messages[i].msg_hdr.msg_namelen = sizeof sources[i];
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_control = control[i];
      messages[i].msg_hdr.msg_controllen = sizeof control[i];
    }
  }
};

ReceiveArea& receive_area() {
  static thread_local ReceiveArea area;
  return area;
}

size_t gro_segment_size(const msghdr& message, size_t length) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(const_cast<msghdr*>(&message), c)) {
    if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO) continue;
    int size = 0;
    std::memcpy(&size, CMSG_DATA(c), sizeof size);
    if (size > 0) return static_cast<size_t>(size);
  }
  return length;
}

/// Asks the kernel, and switches it on.
bool use_gro(int fd) {
  const int on = 1;
  return setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) == 0;
}

bool has_gso(int fd) {
  const int no_segments = 0;
  return setsockopt(fd, SOL_UDP, UDP_SEGMENT, &no_segments, sizeof no_segments) == 0;
}

class KernelUdpSocket final : public UdpSocket {
 public:
  KernelUdpSocket(Loop& loop, FileDescriptor fd) : loop_(loop), descriptor_(loop.context(), fd.release()) {
    use_gro(native());
    gso_ = has_gso(native());
    wait_readable();
  }
  ~KernelUdpSocket() override { *alive_ = false; }

  Endpoint local_endpoint() const override {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    getsockname(native(), reinterpret_cast<sockaddr*>(&address), &length);
    return to_endpoint(address);
  }
  void set_receiver(UdpReceiver* receiver) override { receiver_ = receiver; }

  SendResult send(const Endpoint& to, ByteView data, int ttl) override {
    if (ttl == kDefaultTtl) return send_slices(to, {&data, 1}, 0);
    setsockopt(native(), IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    const SendResult result = send_slices(to, {&data, 1}, 0);
    setsockopt(native(), IPPROTO_IP, IP_TTL, &kTtl, sizeof kTtl);
    return result;
  }

  SendResult send_fragmentable(const Endpoint& to, ByteView data) override {
    set_mtu_discovery(IP_PMTUDISC_DONT);
    const SendResult result = send_slices(to, {&data, 1}, 0);
    set_mtu_discovery(IP_PMTUDISC_PROBE);
    return result;
  }

  size_t max_segments() const override { return gso_ ? kMaxGsoSegments : 1; }
  size_t max_segment_bytes() const override { return kMaxGsoBytes; }

  SendResult send_segments(const Endpoint& to, std::span<const ByteView> slices, size_t segment_size) override {
    size_t total = 0;
    for (ByteView slice : slices) total += slice.size();
    if (total <= segment_size) return send_slices(to, slices, 0);
    if (gso_) {
      const SendResult result = send_slices(to, slices, segment_size);
      if (!refused_segments_) return result;
      refused_segments_ = false;
    }
    return send_one_by_one(to, slices, segment_size, total);
  }

  void on_writable(std::function<void()> callback) override {
    descriptor_.async_wait(boost::asio::posix::descriptor_base::wait_write,
                           [alive = alive_, callback = std::move(callback)](const boost::system::error_code& error) {
                             if (!error && *alive) callback();
                           });
  }

  size_t path_mtu(const Endpoint& to) const override {
    FileDescriptor probe(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = to_sockaddr(to);
    if (!probe.valid() || ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return 0;
    int mtu = 0;
    socklen_t length = sizeof mtu;
    if (getsockopt(probe.get(), IPPROTO_IP, IP_MTU, &mtu, &length) != 0 || mtu <= static_cast<int>(kIpUdpHeader)) return 0;
    return static_cast<size_t>(mtu) - kIpUdpHeader;
  }

 private:
  int native() const { return const_cast<boost::asio::posix::stream_descriptor&>(descriptor_).native_handle(); }

  void set_mtu_discovery(int mode) { setsockopt(native(), IPPROTO_IP, IP_MTU_DISCOVER, &mode, sizeof mode); }

  void wait_readable() {
    descriptor_.async_wait(boost::asio::posix::descriptor_base::wait_read, [this, alive = alive_](const boost::system::error_code& error) {
      if (error || !*alive) return;
      receive(alive);
      if (*alive) wait_readable();
    });
  }

  void receive(const std::shared_ptr<bool>& alive) {
    ReceiveArea& area = receive_area();
    bool delivered = false;
    for (int round = 0; round < kMaxRounds; ++round) {
      area.prepare();
      const int count = recvmmsg(native(), area.messages, kBatch, MSG_DONTWAIT, nullptr);
      if (count <= 0) break;
      loop_.refresh_now();
      for (int i = 0; i < count; ++i) {
        delivered = true;
        deliver(area, static_cast<size_t>(i));
        if (!*alive) return;
      }
      if (static_cast<size_t>(count) < kBatch) break;
    }
    if (delivered && receiver_ != nullptr) receiver_->on_drained(*this);
  }

  void deliver(ReceiveArea& area, size_t index) {
    const mmsghdr& message = area.messages[index];
    const size_t length = message.msg_len;
    const size_t segment = gro_segment_size(message.msg_hdr, length);
    const Endpoint from = to_endpoint(area.sources[index]);
    const ByteView all(area.memory.get() + index * kBufferSize, length);
    const std::shared_ptr<bool> alive = alive_;
    size_t at = 0;
    do {
      if (receiver_ == nullptr) return;
      const size_t size = std::min(segment, length - at);
      receiver_->on_datagram(*this, from, all.subspan(at, size));
      at += size;
    } while (*alive && at < length);
  }

  SendResult send_slices(const Endpoint& to, std::span<const ByteView> slices, size_t segment_size) {
    if (slices.size() > kMaxSlices) return SendResult::kTooBig;
    iovec vectors[kMaxSlices];
    for (size_t i = 0; i < slices.size(); ++i) vectors[i] = {const_cast<uint8_t*>(slices[i].data()), slices[i].size()};
    sockaddr_in address = to_sockaddr(to);
    msghdr message{};
    message.msg_name = &address;
    message.msg_namelen = sizeof address;
    message.msg_iov = vectors;
    message.msg_iovlen = slices.size();
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(uint16_t))] = {};
    if (segment_size > 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* c = CMSG_FIRSTHDR(&message);
      c->cmsg_level = SOL_UDP;
      c->cmsg_type = UDP_SEGMENT;
      c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
      const auto size = static_cast<uint16_t>(segment_size);
      std::memcpy(CMSG_DATA(c), &size, sizeof size);
    }
    if (sendmsg(native(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return SendResult::kSent;
    return send_failure(errno, segment_size > 0);
  }

  SendResult send_failure(int number, bool segmented) {
    switch (number) {
      case EAGAIN:
      case ENOBUFS:
        return SendResult::kWouldBlock;
      case EMSGSIZE:
        return SendResult::kTooBig;
      case EINVAL:  // this size of segment, or this route
        refused_segments_ = segmented;
        return SendResult::kFailed;
      case EIO:  // the device cannot checksum segments
      case ENOPROTOOPT:
        refused_segments_ = segmented;
        if (segmented) gso_ = false;
        return SendResult::kFailed;
      default:
        return SendResult::kFailed;
    }
  }

  SendResult send_one_by_one(const Endpoint& to, std::span<const ByteView> slices, size_t segment_size, size_t total) {
    Bytes joined;
    joined.reserve(total);
    for (ByteView slice : slices) append_bytes(joined, slice);
    for (size_t at = 0; at < total; at += segment_size) {
      const ByteView one = ByteView(joined).subspan(at, std::min(segment_size, total - at));
      const SendResult result = send_slices(to, {&one, 1}, 0);
      // Once a part is out, the rest counts as lost on the way: the reliable layer above repairs it.
      if (result != SendResult::kSent) return at == 0 ? result : SendResult::kSent;
    }
    return SendResult::kSent;
  }

  Loop& loop_;
  boost::asio::posix::stream_descriptor descriptor_;
  UdpReceiver* receiver_ = nullptr;
  bool gso_ = false;
  bool refused_segments_ = false;  // the last segmented send must be repeated datagram by datagram
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

void set_options(int fd) {
  const int dont_fragment = IP_PMTUDISC_PROBE;
  setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &dont_fragment, sizeof dont_fragment);
  setsockopt(fd, IPPROTO_IP, IP_TTL, &kTtl, sizeof kTtl);
  // Best effort: the kernel caps both at net.core.{r,w}mem_max unless we are privileged.
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof kReceiveBuffer) != 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof kSendBuffer) != 0)
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
}

size_t obtained_buffer(int fd, int option) {
  int bytes = 0;
  socklen_t length = sizeof bytes;
  return getsockopt(fd, SOL_SOCKET, option, &bytes, &length) == 0 ? static_cast<size_t>(bytes) : 0;
}

}  // namespace

Expected<UdpTraits> probe_udp_traits() {
  FileDescriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno_error(errno, "cannot make a UDP socket");
  set_options(fd.get());
  return UdpTraits{obtained_buffer(fd.get(), SO_RCVBUF), obtained_buffer(fd.get(), SO_SNDBUF), has_gso(fd.get()), use_gro(fd.get())};
}

Expected<std::unique_ptr<UdpSocket>> KernelUdpNetwork::open_udp(const Endpoint& bind) {
  FileDescriptor fd(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno_error(errno, "cannot make a UDP socket");
  set_options(fd.get());
  const sockaddr_in address = to_sockaddr(bind);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return errno_error(errno, "cannot bind UDP " + bind.to_string());
  return std::unique_ptr<UdpSocket>(std::make_unique<KernelUdpSocket>(loop_, std::move(fd)));
}

std::vector<uint32_t> KernelUdpNetwork::interface_addresses() const {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return interface_addresses_;
  std::vector<uint32_t> out;
  for (const ifaddrs* i = list; i != nullptr; i = i->ifa_next) {
    const bool usable =
        i->ifa_addr != nullptr && i->ifa_addr->sa_family == AF_INET && (i->ifa_flags & IFF_UP) && !(i->ifa_flags & IFF_LOOPBACK);
    if (usable) out.push_back(ntohl(reinterpret_cast<const sockaddr_in*>(i->ifa_addr)->sin_addr.s_addr));
  }
  freeifaddrs(list);
  return interface_addresses_ = std::move(out);
}

void KernelUdpNetwork::resolve(const std::string& host, std::function<void(Expected<std::vector<uint32_t>>)> callback) {
  resolve_host(loop_, host, 0, [host, callback = std::move(callback)](Expected<std::vector<SocketAddress>> found) {
    if (!found) return callback(found.error());
    std::vector<uint32_t> out;
    for (const SocketAddress& address : *found)
      if (address.family() == AF_INET) out.push_back(ntohl(reinterpret_cast<const sockaddr_in*>(address.data())->sin_addr.s_addr));
    if (out.empty()) return callback(Error{"ENOTFOUND", host + " has no IPv4 address"});
    callback(std::move(out));
  });
}

}  // namespace hg::io
