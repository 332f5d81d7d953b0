#include "app/own_gate.h"

#include <algorithm>

namespace hg::app {

namespace {

bool is_ours(uint32_t address, const std::vector<uint32_t>& own) {
  return address >> 24 == 127 || std::find(own.begin(), own.end(), address) != own.end();
}

/// Of a numeric host: an IPv6 one has only its loopback address known as ours.
bool is_ours(const std::string& host, const std::vector<uint32_t>& own) {
  const auto ipv4 = parse_ipv4(host);
  return ipv4 ? is_ours(*ipv4, own) : host == "::1";
}

bool takes(const std::string& listen, const std::string& host, const std::vector<uint32_t>& own) {
  if (listen == host) return true;
  if (listen == "::") return is_ours(host, own);
  return listen == "0.0.0.0" && parse_ipv4(host) && is_ours(host, own);
}

}  // namespace

bool is_own_gate(const io::SocketAddress& listen, const tunnel::Service& service, const Endpoint& provider,
                 const std::vector<uint32_t>& own) {
  if (service.service_port != service.gate_port || !is_ours(provider.address, own)) return false;
  const std::string gate = listen.canonical_host();
  if (service.service_host == "localhost") return takes(gate, "127.0.0.1", own) || takes(gate, "::1", own);
  const auto host = io::SocketAddress::parse(service.service_host, 0);
  return host && takes(gate, host->canonical_host(), own);
}

}  // namespace hg::app
