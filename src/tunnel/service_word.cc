#include "tunnel/service_word.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstdint>
#include <cstdlib>

namespace hg::tunnel {

namespace json = boost::json;

namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kNameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
constexpr size_t kMostDigits = 9;  // more than any port has; what is too large is said by the reader of files

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= kMostDigits && text.find_first_not_of(kDigits) == std::string_view::npos;
}

bool is_ports(std::string_view text) {
  const size_t dash = text.find('-');
  return dash == std::string_view::npos ? is_number(text) : is_number(text.substr(0, dash)) && is_number(text.substr(dash + 1));
}

json::value ports(std::string_view text) {
  if (is_number(text)) return std::atoll(std::string(text).c_str());
  return json::value(text);
}

bool is_name(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) return true;
  return !host.empty() && host.find_first_not_of(kNameCharacters) == std::string_view::npos;
}

/// What follows the last `mark` is cut off `text`.
std::optional<std::string_view> cut(std::string_view& text, char mark) {
  const size_t at = text.rfind(mark);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view after = text.substr(at + 1);
  text = text.substr(0, at);
  return after;
}

void set_host(json::object& entry, std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  entry["serviceHost"] = host;
}

/// [HOST:]PORT or, behind a gate, HOST. False: neither.
bool read_place(json::object& entry, std::string_view place) {
  const bool has_gate = entry.contains("gatePort");
  if (is_ports(place)) {
    entry["servicePort"] = ports(place);
    return true;
  }
  std::string_view host = place;
  const bool bracketed = place.ends_with(']');
  const auto port = bracketed ? std::nullopt : cut(host, ':');
  if (port && is_ports(*port) && (has_gate || is_name(host))) {
    set_host(entry, host);
    entry["servicePort"] = ports(*port);
    return true;
  }
  if (has_gate) set_host(entry, place);
  return has_gate;
}

std::optional<json::object> service_of_word(std::string_view word) {
  json::object entry;
  const size_t equals = word.find('=');
  if (equals != std::string_view::npos) {
    if (!is_ports(word.substr(0, equals))) return std::nullopt;
    entry["gatePort"] = ports(word.substr(0, equals));
    word = word.substr(equals + 1);
  }
  if (entry.contains("gatePort") && word.starts_with("unix:")) {
    entry["serviceHost"] = word;
    return entry;
  }
  if (const auto protocol = cut(word, '/')) entry["protocol"] = *protocol;
  if (!read_place(entry, word)) return std::nullopt;
  return entry;
}

}  // namespace

std::optional<std::string> services_of_words(std::string_view words) {
  json::array entries;
  while (!words.empty()) {
    const std::string_view word = words.substr(0, words.find(' '));
    words.remove_prefix(std::min(word.size() + 1, words.size()));
    if (word.empty()) continue;
    auto entry = service_of_word(word);
    if (!entry) return std::nullopt;
    entries.push_back(std::move(*entry));
  }
  if (entries.empty()) return std::nullopt;
  return json::serialize(entries);
}

}  // namespace hg::tunnel
