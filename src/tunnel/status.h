// What one of our own peers may ask another beside routes. Question and answer are advRoutes messages without routes, which change nothing
// for a peer that knows only those:
//
//   scan ─{"hg":{"ask":"status"},"routes":[]}─▶ gateway ─{"hg":{"unlimited":[{"ip","expireAt"}, …],"more":N},"routes":[]}─▶ scan
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hg::tunnel {

/// A client whom /unlimited lets in without limits.
struct Override {
  std::string client;  // canonical address
  int64_t until_ms = 0;
  bool operator==(const Override&) const = default;
};

struct StatusMessage {
  bool asks = false;
  std::vector<Override> overrides;
  size_t more = 0;  // overrides that are not named
};

inline constexpr size_t kMaxStatusOverrides = 256;

std::string encode_status_question();
/// Names at most kMaxStatusOverrides.
std::string encode_status(const std::vector<Override>& overrides);
/// nullopt: an advertisement like any other.
std::optional<StatusMessage> parse_status(std::string_view json);

}  // namespace hg::tunnel
