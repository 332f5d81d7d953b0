#include "app/own_gate.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <strings.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace hg::app {

namespace {

using tunnel::Leads;

bool is_ours(uint32_t address, const OwnNames& own) {
  return address >> 24 == 127 || std::find(own.ipv4.begin(), own.ipv4.end(), address) != own.ipv4.end();
}

/// Of a numeric host.
bool is_ours(const std::string& host, const OwnNames& own) {
  if (const auto ipv4 = parse_ipv4(host)) return is_ours(*ipv4, own);
  return host == "::1" || std::find(own.ipv6.begin(), own.ipv6.end(), host) != own.ipv6.end();
}

bool takes(const std::string& listen, const std::string& host, const OwnNames& own) {
  if (listen == host) return true;
  if (listen == "::") return is_ours(host, own);
  return listen == "0.0.0.0" && parse_ipv4(host) && is_ours(host, own);
}

/// Linux connects to itself for the address that means any.
std::string connected(const std::string& host) { return host == "0.0.0.0" ? "127.0.0.1" : host == "::" ? "::1" : host; }

std::vector<std::string> own_ipv6() {
  std::vector<std::string> out;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return out;
  for (const ifaddrs* i = list; i != nullptr; i = i->ifa_next)
    if (i->ifa_addr != nullptr && i->ifa_addr->sa_family == AF_INET6)
      out.push_back(io::SocketAddress(i->ifa_addr, sizeof(sockaddr_in6)).canonical_host());
  freeifaddrs(list);
  return out;
}

std::string own_host() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

bool may_lead_back(const tunnel::Service& service, const Endpoint& provider, const OwnNames& own) {
  return service.service_port == service.gate_port && is_ours(provider.address, own) &&
         tunnel::unix_socket_path(service.service_host).empty();
}

}  // namespace

Leads leads_of(const io::SocketAddress& listen, const tunnel::Service& service, const Endpoint& provider, const OwnNames& own) {
  if (!may_lead_back(service, provider, own)) return Leads::kElsewhere;
  const std::string gate = listen.canonical_host();
  const auto judged = [](bool back) { return back ? Leads::kBack : Leads::kElsewhere; };
  if (service.service_host == "localhost") return judged(takes(gate, "127.0.0.1", own) || takes(gate, "::1", own));
  if (const auto host = io::SocketAddress::parse(service.service_host, 0))
    return judged(takes(gate, connected(host->canonical_host()), own));
  const bool everywhere = gate == "0.0.0.0" || gate == "::";
  return everywhere && strcasecmp(service.service_host.c_str(), own.host.c_str()) == 0 ? Leads::kBack : Leads::kByAddress;
}

OwnNames own_names(std::vector<uint32_t> ipv4) { return {std::move(ipv4), own_ipv6(), own_host()}; }

}  // namespace hg::app
