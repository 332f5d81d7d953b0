#include "tunnel/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace hg::tunnel {

namespace {

constexpr size_t kShownBytes = 60;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // RFC 8259, 8.1: may be passed over; some editors write it

std::string position(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t start = before.rfind('\n');
  const size_t column = start == std::string_view::npos ? before.size() + 1 : before.size() - start;
  return fmt::format("line {}, column {}", line, column);
}

}  // namespace

Expected<boost::json::value> parse_json(std::string_view text, std::string_view name) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  boost::json::stream_parser parser;
  boost::system::error_code failure;
  const size_t parsed = parser.write_some(text.data(), text.size(), failure);
  if (!failure && text.substr(parsed).find_first_not_of(" \t\r\n") != std::string_view::npos) failure = boost::json::error::extra_data;
  if (!failure) parser.finish(failure);
  if (failure) return Error{"BAD_JSON", fmt::format("{}: not JSON at {}: {}", name, position(text, parsed), failure.message())};
  return parser.release();
}

Error json_fault(std::string_view name, std::string_view path, const boost::json::value& value, std::string_view accepted) {
  std::string shown = boost::json::serialize(value);
  if (shown.size() > kShownBytes) shown = shown.substr(0, kShownBytes) + "…";
  return Error{"BAD_VALUE", fmt::format("{}: {}: {} is not accepted; {}", name, path, shown, accepted)};
}

std::optional<int64_t> json_integer(const boost::json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (value.is_double()) {
    const double number = value.get_double();
    constexpr double kExact = 9007199254740992.0;  // 2^53
    if (std::trunc(number) == number && std::abs(number) <= kExact) return static_cast<int64_t>(number);
  }
  return std::nullopt;
}

std::optional<uint16_t> json_port(const boost::json::value& value) {
  const auto number = json_integer(value);
  if (!number || *number < 1 || *number > 65535) return std::nullopt;
  return static_cast<uint16_t>(*number);
}

std::optional<double> json_number(const boost::json::value& value) {
  if (!value.is_number()) return std::nullopt;
  const double number = value.to_number<double>();
  if (!std::isfinite(number)) return std::nullopt;
  return number;
}

std::optional<Protocol> json_protocol(const boost::json::value& value) {
  if (value.is_string()) {
    std::string text(value.get_string());
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (text == "tcp") return Protocol::kTcp;
    if (text == "udp") return Protocol::kUdp;
    return std::nullopt;
  }
  const auto number = json_integer(value);
  if (number == 0) return Protocol::kTcp;
  if (number == 1) return Protocol::kUdp;
  return std::nullopt;
}

}  // namespace hg::tunnel
