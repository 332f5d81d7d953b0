#include "base/endpoint.h"

namespace hg {

std::string format_ipv4(uint32_t address) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (!text.empty()) text.push_back('.');
    text += std::to_string(address >> shift & 0xff);
  }
  return text;
}

std::optional<uint32_t> parse_ipv4(std::string_view text) {
  uint32_t address = 0;
  size_t at = 0;
  for (int part = 0; part < 4; ++part) {
    if (part > 0) {
      if (at >= text.size() || text[at] != '.') return std::nullopt;
      ++at;
    }
    const size_t start = at;
    uint32_t octet = 0;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9' && at - start < 3) octet = octet * 10 + (text[at++] - '0');
    const bool leading_zero = at - start > 1 && text[start] == '0';
    if (at == start || octet > 255 || leading_zero) return std::nullopt;
    address = address << 8 | octet;
  }
  if (at != text.size()) return std::nullopt;
  return address;
}

std::string Endpoint::host() const { return format_ipv4(address); }

std::string Endpoint::to_string() const { return host() + ":" + std::to_string(port); }

}  // namespace hg
