// Small codecs of our endpoints: base64 in both alphabets, query and form parameters, Basic credentials, answers in JSON.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "http/server.h"

namespace hg::http {

/// Standard or URL-safe alphabet (mixed as well), with or without padding; a blank counts as '+', which is what a form makes of it.
std::optional<Bytes> decode_base64(std::string_view text);
std::string encode_base64(ByteView data);

/// "a=1&b=2", percent-decoded, '+' as blank; the first of equal names counts. What cannot be decoded is left out.
std::map<std::string, std::string> parse_form(std::string_view text);

struct Target {
  std::string path;
  std::map<std::string, std::string> query;
};
Target parse_target(std::string_view target);

/// Constant-time. `credentials`: "user:password".
bool has_basic_auth(const Request& request, std::string_view credentials);

/// An answer that no cache keeps.
Response json_response(int status, std::string body);
/// Status 405, naming the methods that are allowed: "GET, POST".
Response wrong_method(std::string body, std::string allowed);

}  // namespace hg::http
