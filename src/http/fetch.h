// Reads a small text from where an option points: a file, or an http(s) URL (GET).
#pragma once

#include <string>

#include "base/expected.h"
#include "base/time.h"

namespace hg::http {

inline constexpr size_t kMaxTextBytes = 16 << 20;

bool is_url(const std::string& source);
/// Blocking; follows no redirects; https is verified against the system's certificates. Errors are one line naming the URL.
Expected<std::string> fetch_url(const std::string& url, Duration timeout = 10s);
/// A regular file of at most kMaxTextBytes. Errors are one line naming the path.
Expected<std::string> read_text_file(const std::string& path);

}  // namespace hg::http
