#include "io/socket_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <functional>

namespace hg::io {

namespace {

template <class T>
const T& view_as(const sockaddr_storage& storage) {
  return reinterpret_cast<const T&>(storage);
}
template <class T>
T& view_as(sockaddr_storage& storage) {
  return reinterpret_cast<T&>(storage);
}

}  // namespace

SocketAddress::SocketAddress(const sockaddr* address, socklen_t length) {
  const bool known = address->sa_family == AF_INET || address->sa_family == AF_INET6 || address->sa_family == AF_UNIX;
  if (!known || length > sizeof storage_) return;
  std::memcpy(&storage_, address, length);
  length_ = length;
}

std::optional<SocketAddress> SocketAddress::parse(std::string_view ip, uint16_t port) {
  if (ip.size() > 2 && ip.front() == '[' && ip.back() == ']') ip = ip.substr(1, ip.size() - 2);
  const std::string text(ip);
  SocketAddress out;
  auto& v4 = view_as<sockaddr_in>(out.storage_);
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    out.length_ = sizeof v4;
    return out;
  }
  out.storage_ = {};
  auto& v6 = view_as<sockaddr_in6>(out.storage_);
  const size_t percent = text.find('%');
  if (inet_pton(AF_INET6, text.substr(0, percent).c_str(), &v6.sin6_addr) != 1) return std::nullopt;
  if (percent != std::string::npos) {
    v6.sin6_scope_id = if_nametoindex(text.c_str() + percent + 1);
    if (v6.sin6_scope_id == 0) return std::nullopt;
  }
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  out.length_ = sizeof v6;
  return out;
}

std::optional<SocketAddress> SocketAddress::unix_path(std::string_view path) {
  SocketAddress out;
  auto& local = view_as<sockaddr_un>(out.storage_);
  if (path.empty() || path.front() != '/' || path.size() >= sizeof local.sun_path) return std::nullopt;
  local.sun_family = AF_UNIX;
  std::memcpy(local.sun_path, path.data(), path.size());
  out.length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return out;
}

uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(view_as<sockaddr_in>(storage_).sin_port);
  if (family() == AF_INET6) return ntohs(view_as<sockaddr_in6>(storage_).sin6_port);
  return 0;
}

void SocketAddress::set_port(uint16_t port) {
  if (family() == AF_INET) view_as<sockaddr_in>(storage_).sin_port = htons(port);
  if (family() == AF_INET6) view_as<sockaddr_in6>(storage_).sin6_port = htons(port);
}

std::string SocketAddress::host() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET) {
    inet_ntop(AF_INET, &view_as<sockaddr_in>(storage_).sin_addr, text, sizeof text);
    return text;
  }
  if (family() == AF_UNIX) return view_as<sockaddr_un>(storage_).sun_path;
  if (family() != AF_INET6) return "";
  const auto& v6 = view_as<sockaddr_in6>(storage_);
  inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
  char zone[IF_NAMESIZE];
  if (v6.sin6_scope_id == 0 || if_indextoname(v6.sin6_scope_id, zone) == nullptr) return text;
  return std::string(text) + "%" + zone;
}

std::string SocketAddress::canonical_host() const {
  std::string text = host();
  if (family() != AF_INET6) return text;
  text = text.substr(0, text.find('%'));
  constexpr std::string_view kMapped = "::ffff:";
  const bool mapped = text.starts_with(kMapped) && text.find('.') != std::string::npos;
  return mapped ? text.substr(kMapped.size()) : text;
}

std::string SocketAddress::to_string() const {
  if (family() == AF_UNIX) return host();
  const std::string address = family() == AF_INET6 ? fmt::format("[{}]", host()) : host();
  return fmt::format("{}:{}", address, port());
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  if (family() != other.family() || port() != other.port()) return false;
  if (family() == AF_INET) return view_as<sockaddr_in>(storage_).sin_addr.s_addr == view_as<sockaddr_in>(other.storage_).sin_addr.s_addr;
  if (family() == AF_INET6) {
    const auto& a = view_as<sockaddr_in6>(storage_);
    const auto& b = view_as<sockaddr_in6>(other.storage_);
    return a.sin6_scope_id == b.sin6_scope_id && std::memcmp(&a.sin6_addr, &b.sin6_addr, sizeof a.sin6_addr) == 0;
  }
  return host() == other.host();
}

size_t SocketAddress::hash() const {
  std::string_view address;
  if (family() == AF_INET) {
    const auto& v4 = view_as<sockaddr_in>(storage_).sin_addr;
    address = {reinterpret_cast<const char*>(&v4), sizeof v4};
  } else if (family() == AF_INET6) {
    const auto& v6 = view_as<sockaddr_in6>(storage_).sin6_addr;
    address = {reinterpret_cast<const char*>(&v6), sizeof v6};
  } else if (family() == AF_UNIX) {
    address = view_as<sockaddr_un>(storage_).sun_path;
  }
  return std::hash<std::string_view>{}(address)*31 + port();
}

SocketAddress local_end(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return SocketAddress(reinterpret_cast<const sockaddr*>(&storage), length);
}

SocketAddress remote_end(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return SocketAddress(reinterpret_cast<const sockaddr*>(&storage), length);
}

bool is_own_peer(int fd) {
  const SocketAddress local = local_end(fd);
  return local.port() != 0 && local == remote_end(fd);
}

}  // namespace hg::io
