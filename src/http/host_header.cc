#include "http/host_header.h"

namespace hg::http {

bool names_an_address(const std::string& host_header) {
  std::string host = host_header;
  const size_t colon = host.rfind(':');
  if (colon != std::string::npos && !host.ends_with(']') && host.find(':') == colon) host.resize(colon);       // 127.0.0.1:9090
  if (host.starts_with('[') && colon != std::string::npos && host.find(']') + 1 == colon) host.resize(colon);  // [::1]:9090
  return host.empty() || host == "localhost" || io::SocketAddress::parse(host, 0).has_value();
}

bool is_asked_by_address(const Request& request) {
  const auto host = request.headers.find("host");
  return host == request.headers.end() || names_an_address(host->second);
}

bool is_loopback(const io::SocketAddress& address) {
  const std::string host = address.canonical_host();
  return host.starts_with("127.") || host == "::1";
}

}  // namespace hg::http
