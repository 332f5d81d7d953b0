#include "tunnel/repeatable.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "tunnel/frames.h"

namespace hg::tunnel {

namespace {

constexpr std::array<std::string_view, 3> kSafeMethods = {"GET ", "HEAD ", "OPTIONS "};
constexpr uint32_t kPostgresVersion3 = 3 << 16;
constexpr uint32_t kPostgresSslRequest = 80877103;
constexpr uint32_t kPostgresGssRequest = 80877104;

/// Nothing behind the first `mark`.
bool ends_with_first(std::string_view text, std::string_view mark) {
  const size_t at = text.find(mark);
  return at == std::string_view::npos || at + mark.size() == text.size();
}

/// A first line that other protocols have, too, "GET key" for one, ends there: what follows may be another command.
bool begins_http1(std::string_view text) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos || end + 1 == text.size()) return true;
  std::string_view line = text.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line.ends_with(" HTTP/1.1") || line.ends_with(" HTTP/1.0");
}

/// One head, whole or in part. Lenient servers end it at empty lines without carriage returns.
bool is_safe_http_head(std::string_view text) {
  const bool safe =
      std::any_of(kSafeMethods.begin(), kSafeMethods.end(), [&](std::string_view method) { return text.starts_with(method); });
  return safe && begins_http1(text) && ends_with_first(text, "\n\n") && ends_with_first(text, "\n\r\n");
}

/// One record that begins a handshake with a ClientHello, whole or in part.
bool is_client_hello(ByteView said) {
  constexpr size_t kRecordHeader = 5;
  constexpr uint8_t kHandshake = 22;
  constexpr uint8_t kClientHello = 1;
  if (said.size() <= kRecordHeader || said[0] != kHandshake || said[1] != 3 || said[kRecordHeader] != kClientHello) return false;
  return said.size() <= kRecordHeader + (static_cast<size_t>(said[3]) << 8 | said[4]);
}

bool is_ssh_version(std::string_view text) {
  return (text.starts_with("SSH-2.0-") || text.starts_with("SSH-1.99-")) && ends_with_first(text, "\n");
}

/// One message, whole.
bool is_postgres_start(ByteView said) {
  if (said.size() < 8 || load_u32_be(said.data()) != said.size()) return false;
  const uint32_t code = load_u32_be(said.data() + 4);
  return code == kPostgresVersion3 || code == kPostgresSslRequest || code == kPostgresGssRequest;
}

}  // namespace

bool may_be_repeated(ByteView said) {
  const std::string_view text = as_text(said);
  return is_safe_http_head(text) || is_client_hello(said) || is_ssh_version(text) || is_postgres_start(said);
}

}  // namespace hg::tunnel
