// The JSON of an open message (who the client is) and of its confirmation, and what our own peers agree in them.
//
//   open:         {"id", "openedAt", "protocol", "gatePort", "channelPort", "source": {ip, ipRaw, port}, "gateway": {…}, "ingressLabels"?,
//   "hg"?} confirmation: {"hg"}          "hg": {"flow"?: bytes the other side may send at first, "datagram"?: largest datagram,
//                               "host"?: service host asked for (open only)}
//
// "hg" is asked only of a provider that listed the features, and confirmed only to a gateway that asked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tunnel/frames.h"

namespace hg::tunnel {

struct ClientAddress {
  std::string ip;      // without a zone, IPv4-mapped IPv6 as IPv4
  std::string ip_raw;  // as the system writes it
  uint16_t port = 0;
};

/// What one side grants the other on a channel.
struct OpenTerms {
  uint32_t window = 0;     // bytes it may send at first; 0: no flow control
  uint32_t datagram = 0;   // largest datagram; 0: kMaxStreamBody
  bool unordered = false;  // datagrams that fit a packet travel beside the stream
  std::string host = {};   // open only: the service host asked for, since several may share a gate port; empty: the first there is
  bool any() const { return window != 0 || datagram != 0 || unordered; }
};

inline constexpr size_t kMaxFingerprintBytes = 65536;

struct Fingerprint {
  std::string id;  // 16 random bytes in hex
  int64_t opened_at_ms = 0;
  Protocol protocol = Protocol::kTcp;
  uint16_t gate_port = 0;
  uint32_t channel = 0;
  ClientAddress source;
  ClientAddress gateway;
  std::vector<std::string> labels;
};

std::string encode_fingerprint(const Fingerprint& fingerprint, const OpenTerms& ask);
/// What a provider reads of it; nothing when it is absent, broken, longer than kMaxFingerprintBytes or without a source.
std::optional<Fingerprint> parse_fingerprint(std::string_view json);
std::string encode_terms(const OpenTerms& terms);
/// Whatever "hg" says; nothing for JSON that is absent, broken or longer than kMaxFingerprintBytes.
OpenTerms parse_terms(std::string_view json);

}  // namespace hg::tunnel
