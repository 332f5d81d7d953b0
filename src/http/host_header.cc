#include "http/host_header.h"

#include <algorithm>
#include <cctype>

namespace hg::http {

namespace {

std::string without_port(std::string host) {
  const size_t colon = host.rfind(':');
  if (colon != std::string::npos && !host.ends_with(']') && host.find(':') == colon) host.resize(colon);       // 127.0.0.1:9090
  if (host.starts_with('[') && colon != std::string::npos && host.find(']') + 1 == colon) host.resize(colon);  // [::1]:9090
  return host;
}

}  // namespace

bool names_an_address(const std::string& host_header) {
  const std::string host = without_port(host_header);
  return host.empty() || host == "localhost" || io::SocketAddress::parse(host, 0).has_value();
}

bool is_asked_by_address(const Request& request) {
  const auto host = request.headers.find("host");
  return host == request.headers.end() || names_an_address(host->second);
}

bool is_asked_by_own_name(const Request& request) {
  if (is_asked_by_address(request)) return true;
  const std::string host = without_port(request.headers.at("host"));
  const bool plain = std::all_of(host.begin(), host.end(), [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; });
  return plain || host.ends_with(".internal");
}

bool is_loopback(const io::SocketAddress& address) {
  const std::string host = address.canonical_host();
  return host.starts_with("127.") || host == "::1";
}

}  // namespace hg::http
