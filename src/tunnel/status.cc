#include "tunnel/status.h"

#include <algorithm>

#include "tunnel/json_text.h"

namespace hg::tunnel {

namespace json = boost::json;

namespace {

constexpr std::string_view kStart = R"({"hg":)";  // as we write it; no advertisement begins so
constexpr size_t kMaxText = 65536;
constexpr size_t kMaxAddressBytes = 64;

std::string wrap(json::object status) {
  json::object message;
  message["hg"] = std::move(status);
  message["routes"] = json::array();
  return json::serialize(message);
}

std::optional<Override> read_override(const json::value& value) {
  const json::object* entry = value.if_object();
  const json::value* ip = entry == nullptr ? nullptr : entry->if_contains("ip");
  const json::value* until = entry == nullptr ? nullptr : entry->if_contains("expireAt");
  const auto until_ms = until == nullptr ? std::nullopt : json_integer(*until);
  if (ip == nullptr || !ip->is_string() || ip->get_string().size() > kMaxAddressBytes || !until_ms) return std::nullopt;
  return Override{std::string(ip->get_string()), *until_ms};
}

}  // namespace

std::string encode_status_question() { return wrap({{"ask", "status"}}); }

std::string encode_status(const std::vector<Override>& overrides) {
  json::array named;
  for (const Override& one : overrides) {
    if (named.size() < kMaxStatusOverrides) named.push_back({{"ip", one.client}, {"expireAt", one.until_ms}});
  }
  const size_t more = overrides.size() - named.size();
  return wrap({{"unlimited", std::move(named)}, {"more", more}});
}

std::optional<StatusMessage> parse_status(std::string_view text) {
  if (!text.starts_with(kStart) || text.size() > kMaxText) return std::nullopt;
  boost::system::error_code failure;
  const json::value document = json::parse(text, failure);
  if (failure || !document.is_object()) return std::nullopt;
  const json::value* hg = document.get_object().if_contains("hg");
  if (hg == nullptr || !hg->is_object()) return std::nullopt;
  StatusMessage message;
  if (const json::value* ask = hg->get_object().if_contains("ask"))
    message.asks = ask->is_string() && std::string_view(ask->get_string()) == "status";
  if (const json::value* named = hg->get_object().if_contains("unlimited"); named != nullptr && named->is_array()) {
    for (const json::value& entry : named->get_array()) {
      const auto one = read_override(entry);
      if (one && message.overrides.size() < kMaxStatusOverrides) message.overrides.push_back(*one);
    }
  }
  if (const json::value* more = hg->get_object().if_contains("more"))
    message.more = static_cast<size_t>(std::max<int64_t>(0, json_integer(*more).value_or(0)));
  return message;
}

}  // namespace hg::tunnel
