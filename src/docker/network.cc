#include "docker/network.h"

#include <algorithm>
#include <boost/json.hpp>
#include <tuple>

namespace hg::docker {

namespace json = boost::json;

namespace {

std::string text_at(const json::object& parent, std::string_view key) {
  const json::value* value = parent.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

/// RFC 3339 as the engine writes it, with as many digits of a second as are not zero: as text that sorts by time.
std::string sortable(const std::string& time) {
  constexpr size_t kNanoDigits = 9;
  const size_t point = std::min(time.find('.'), time.size());
  std::string fraction;
  for (size_t i = point + 1; i < time.size() && time[i] >= '0' && time[i] <= '9'; ++i) fraction.push_back(time[i]);
  fraction.resize(kNanoDigits, '0');
  constexpr size_t kSecondsText = 19;  // 2026-01-31T12:00:00
  return time.substr(0, std::min(point, kSecondsText)) + fraction;
}

}  // namespace

std::string parse_network_id(std::string_view text) {
  boost::system::error_code code;
  const json::value parsed = json::parse(json::string_view(text.data(), text.size()), code);
  return code || !parsed.is_object() ? std::string() : text_at(parsed.get_object(), "Id");
}

std::vector<std::string> networks_named(std::string_view text, std::string_view name) {
  boost::system::error_code code;
  const json::value parsed = json::parse(json::string_view(text.data(), text.size()), code);
  if (code || !parsed.is_array()) return {};
  std::vector<std::pair<std::string, std::string>> found;  // creation, id
  for (const json::value& value : parsed.get_array()) {
    if (!value.is_object() || text_at(value.get_object(), "Name") != name) continue;
    found.emplace_back(sortable(text_at(value.get_object(), "Created")), text_at(value.get_object(), "Id"));
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> ids;
  for (auto& [time, id] : found) ids.push_back(std::move(id));
  return ids;
}

}  // namespace hg::docker
