#include "tunnel/proxy_protocol.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

namespace hg::tunnel {

namespace {

constexpr ByteArray<12> kSignature = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
constexpr uint8_t kLocal = 0x20;  // version 2, command LOCAL
constexpr uint8_t kProxy = 0x21;  // version 2, command PROXY
constexpr uint8_t kUnspec = 0x00;
constexpr uint8_t kInet = 0x10;
constexpr uint8_t kInet6 = 0x20;
constexpr uint8_t kStream = 0x01;
constexpr uint8_t kDatagram = 0x02;
constexpr uint8_t kTlvUniqueId = 0x05;
constexpr size_t kMaxUniqueId = 128;  // the specification's bound
constexpr size_t kMaxLabels = 1024;   // bytes; more are left out

/// Both ends in one family: IPv4, or IPv6 with the other one mapped.
struct Addresses {
  bool v4 = false;
  ByteArray<16> source{};
  ByteArray<16> destination{};
};

bool is_v4(const std::string& ip) {
  in_addr unused{};
  return inet_pton(AF_INET, ip.c_str(), &unused) == 1;
}

bool read(const std::string& ip, bool v4, ByteArray<16>& out) {
  if (v4) return inet_pton(AF_INET, ip.c_str(), out.data()) == 1;
  return inet_pton(AF_INET6, (is_v4(ip) ? "::ffff:" + ip : ip).c_str(), out.data()) == 1;
}

std::optional<Addresses> addresses_of(const Fingerprint& fingerprint) {
  const std::string& source = fingerprint.source.ip;
  // A gate that listens on all addresses may not know its own; :: takes IPv4 clients as well.
  const bool unknown = fingerprint.gateway.ip.empty() || fingerprint.gateway.ip == "::";
  const std::string gate = unknown ? (is_v4(source) ? "0.0.0.0" : "::") : fingerprint.gateway.ip;
  Addresses addresses;
  addresses.v4 = is_v4(source) && is_v4(gate);
  if (!read(source, addresses.v4, addresses.source) || !read(gate, addresses.v4, addresses.destination)) return std::nullopt;
  return addresses;
}

std::string text_of(const ByteArray<16>& address, bool v4) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(v4 ? AF_INET : AF_INET6, address.data(), text, sizeof text);
  return text;
}

Bytes version_1(const std::optional<Fingerprint>& fingerprint, const std::optional<Addresses>& addresses) {
  if (!addresses) return to_bytes(as_bytes("PROXY UNKNOWN\r\n"));
  const std::string line =
      fmt::format("PROXY {} {} {} {} {}\r\n", addresses->v4 ? "TCP4" : "TCP6", text_of(addresses->source, addresses->v4),
                  text_of(addresses->destination, addresses->v4), fingerprint->source.port, fingerprint->gateway.port);
  return to_bytes(as_bytes(line));
}

void append_u16(Bytes& out, size_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}

void append_tlv(Bytes& out, uint8_t type, ByteView value) {
  if (value.empty()) return;
  out.push_back(type);
  append_u16(out, value.size());
  append_bytes(out, value);
}

std::string join_labels(const std::vector<std::string>& labels) {
  std::string joined;
  for (const std::string& label : labels) {
    if (joined.size() + label.size() + 1 > kMaxLabels) break;
    joined += (joined.empty() ? "" : ",") + label;
  }
  return joined;
}

Bytes version_2(Protocol protocol, const std::optional<Fingerprint>& fingerprint, const std::optional<Addresses>& addresses,
                const PublicKey& gateway) {
  Bytes rest;
  if (addresses) {
    const size_t size = addresses->v4 ? 4 : 16;
    append_bytes(rest, ByteView(addresses->source).first(size));
    append_bytes(rest, ByteView(addresses->destination).first(size));
    append_u16(rest, fingerprint->source.port);
    append_u16(rest, fingerprint->gateway.port);
    append_tlv(rest, kTlvUniqueId, as_bytes(fingerprint->id).first(std::min(fingerprint->id.size(), kMaxUniqueId)));
    append_tlv(rest, kTlvLabels, as_bytes(join_labels(fingerprint->labels)));
  }
  append_tlv(rest, kTlvGatewayKey, gateway);
  Bytes header = to_bytes(kSignature);
  const uint8_t transport = protocol == Protocol::kUdp ? kDatagram : kStream;
  header.push_back(addresses ? kProxy : kLocal);
  header.push_back(addresses ? static_cast<uint8_t>((addresses->v4 ? kInet : kInet6) | transport) : kUnspec);
  append_u16(header, rest.size());
  append_bytes(header, rest);
  return header;
}

}  // namespace

Bytes make_proxy_header(ProxyHeader version, Protocol protocol, std::string_view fingerprint, const PublicKey& gateway) {
  if (version == ProxyHeader::kNone) return {};
  const auto parsed = parse_fingerprint(fingerprint);
  const auto addresses = parsed ? addresses_of(*parsed) : std::nullopt;
  return version == ProxyHeader::kV1 ? version_1(parsed, addresses) : version_2(protocol, parsed, addresses, gateway);
}

}  // namespace hg::tunnel
