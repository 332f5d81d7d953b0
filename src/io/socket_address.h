// Address of a local service or gate: IPv4, IPv6 or a Unix socket path. (The DHT underlay uses Endpoint.)
#pragma once

#include <sys/socket.h>

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace hg::io {

class SocketAddress {
 public:
  SocketAddress() = default;
  /// From the kernel's form; unknown families give an empty address.
  SocketAddress(const sockaddr* address, socklen_t length);
  /// Numeric IPv4 or IPv6 ("::1", "fe80::1%eth0"; brackets allowed); nullopt for anything else.
  static std::optional<SocketAddress> parse(std::string_view ip, uint16_t port);
  /// Absolute path of at most 107 bytes.
  static std::optional<SocketAddress> unix_path(std::string_view path);

  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return length_; }
  int family() const { return length_ == 0 ? AF_UNSPEC : storage_.ss_family; }
  uint16_t port() const;
  void set_port(uint16_t port);
  /// The numeric address as written by the system ("127.0.0.1", "::1", "fe80::1%eth0", or the path).
  std::string host() const;
  /// host() without a zone and with ::ffff: of an IPv4-mapped address cut off.
  std::string canonical_host() const;
  /// "127.0.0.1:80", "[::1]:80" or the path.
  std::string to_string() const;
  bool operator==(const SocketAddress& other) const;
  size_t hash() const;

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

/// Of a socket's two ends; empty where it has none.
SocketAddress local_end(int fd);
SocketAddress remote_end(int fd);
/// True of a socket that is connected to itself: to an address of this machine where nobody was, from that very port, which the kernel is
/// free to give (for TCP it is a simultaneous open, RFC 9293 section 3.5).
bool is_own_peer(int fd);

}  // namespace hg::io
