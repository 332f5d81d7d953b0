#include "app/source.h"

#include "app/config.h"
#include "http/fetch.h"

namespace hg::app {

Expected<Source> load_source(const std::string& option, const std::string& value) {
  const size_t first = value.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && (value[first] == '[' || value[first] == '{')) return Source{option + " (inline)", value};
  if (looks_secret(value))
    return Error{"USAGE", option + ": a value that is not shown, as secrets look like it; give JSON, a file or an http(s) URL"};
  auto text = http::is_url(value) ? http::fetch_url(value) : http::read_text_file(value);
  if (!text) return Error{"USAGE", option + ": " + text.error().message + "; give JSON, a file or an http(s) URL"};
  return Source{value, std::move(*text)};
}

}  // namespace hg::app
