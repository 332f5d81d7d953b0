#include "http/encoding.h"

#include <array>

#include "crypto/crypto.h"

namespace hg::http {

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNone = 0xff;

constexpr std::array<uint8_t, 256> make_values() {
  std::array<uint8_t, 256> values{};
  for (uint8_t& value : values) value = kNone;
  for (size_t i = 0; i < kAlphabet.size(); ++i) values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<uint8_t>(i);
  values['-'] = values[' '] = values['+'];
  values['_'] = values['/'];
  return values;
}
constexpr std::array<uint8_t, 256> kValues = make_values();

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> decode_percent(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i] == '+' ? ' ' : text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

}  // namespace

std::optional<Bytes> decode_base64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  Bytes out;
  out.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const uint8_t value = kValues[static_cast<uint8_t>(c)];
    if (value == kNone) return std::nullopt;
    bits = bits << 6 | value;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<uint8_t>(bits >> count));
  }
  return out;
}

std::string encode_base64(ByteView data) {
  std::string out;
  for (size_t i = 0; i < data.size(); i += 3) {
    const size_t left = std::min<size_t>(3, data.size() - i);
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) bits = bits << 8 | (k < left ? data[i + k] : 0u);
    for (size_t k = 0; k < 4; ++k) out.push_back(k <= left ? kAlphabet[bits >> (18 - 6 * k) & 63] : '=');
  }
  return out;
}

std::map<std::string, std::string> parse_form(std::string_view text) {
  std::map<std::string, std::string> values;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    const size_t equals = pair.find('=');
    auto name = decode_percent(pair.substr(0, equals));
    auto value = decode_percent(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1));
    if (name && value) values.emplace(std::move(*name), std::move(*value));
  }
  return values;
}

Target parse_target(std::string_view target) {
  const size_t question = target.find('?');
  Target parsed{std::string(target.substr(0, question)), {}};
  if (question != std::string_view::npos) parsed.query = parse_form(target.substr(question + 1));
  return parsed;
}

bool has_basic_auth(const Request& request, std::string_view credentials) {
  constexpr std::string_view kScheme = "basic ";
  const auto header = request.headers.find("authorization");
  if (header == request.headers.end() || header->second.size() <= kScheme.size()) return false;
  for (size_t i = 0; i < kScheme.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(header->second[i])) != kScheme[i]) return false;
  }
  const auto given = decode_base64(std::string_view(header->second).substr(kScheme.size()));
  if (!given) return false;
  // Digests of equal length: the time says nothing about how much of it was right, nor about its length.
  return crypto::equal_secret(crypto::blake2b_256({*given}), crypto::blake2b_256({as_bytes(credentials)}));
}

Response json_response(int status, std::string body) {
  return {.status = status, .content_type = "application/json", .body = std::move(body), .headers = {{"Cache-Control", "no-store"}}};
}

Response wrong_method(std::string body, std::string allowed) {
  Response response = json_response(405, std::move(body));
  response.headers["Allow"] = std::move(allowed);
  return response;
}

}  // namespace hg::http
