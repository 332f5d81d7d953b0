#include "app/printable.h"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace hg::app {

namespace {

constexpr std::string_view kEllipsis = "…";

struct Symbol {
  uint32_t code = 0;
  size_t bytes = 1;
};

/// The first one; nullopt: no UTF-8 (RFC 3629, overlong forms and surrogates are none).
std::optional<Symbol> first_symbol(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return Symbol{lead, 1};
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return std::nullopt;
  uint32_t code = lead & (0x7f >> bytes);
  for (const char c : text.substr(1, bytes - 1)) {
    const auto next = static_cast<unsigned char>(c);
    if ((next & 0xc0) != 0x80) return std::nullopt;
    code = code << 6 | (next & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[bytes] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return std::nullopt;
  return Symbol{code, bytes};
}

/// Controls (C0, C1), marks and overrides of direction, separators of lines, what has no width.
bool hidden(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c || (code >= 0x200b && code <= 0x200f) ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

}  // namespace

std::string printable(std::string_view text, size_t most) {
  std::string out;
  while (!text.empty()) {
    const auto symbol = first_symbol(text);
    const bool good = symbol && !hidden(symbol->code);
    const std::string_view piece = good ? text.substr(0, symbol->bytes) : "?";
    if (out.size() + piece.size() > most) return out + std::string(kEllipsis);
    out += piece;
    text.remove_prefix(symbol ? symbol->bytes : 1);
  }
  return out;
}

}  // namespace hg::app
