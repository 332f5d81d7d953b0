// Reads a small text from where an option points: a file, or an http(s) URL (GET).
#pragma once

#include <string>

#include "base/expected.h"
#include "base/time.h"

namespace hg::http {

inline constexpr size_t kMaxTextBytes = 16 << 20;

bool is_url(const std::string& source);
/// For people and logs: without what may be secret in it, which is user, password, query and fragment.
std::string shown_url(const std::string& url);
/// Blocking; follows no redirects; https is verified against the system's certificates; http://USER:PASSWORD@HOST is sent as Basic
/// credentials. Errors are one line naming the URL as it is shown.
Expected<std::string> fetch_url(const std::string& url, Duration timeout = 10s);

struct Fetched {
  bool unchanged = false;  // the server says so: `text` is empty
  std::string text;
  std::string etag;  // as sent, empty without one
};
/// The same, asking only for a change since the answer that had `etag` (empty: asks for all).
Expected<Fetched> fetch_url_since(const std::string& url, const std::string& etag, Duration timeout = 10s);
/// A regular file of at most kMaxTextBytes. Errors are one line naming the path.
Expected<std::string> read_text_file(const std::string& path);

}  // namespace hg::http
