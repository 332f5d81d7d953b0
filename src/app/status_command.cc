#include "app/status_command.h"

#include <boost/json.hpp>
#include <cstdio>

#include "app/status_text.h"
#include "base/log.h"
#include "http/fetch.h"

namespace hg::app {

namespace {

constexpr Duration kPatience = 5s;  // what hangs for so long carries no tunnel either

/// nullopt: it is no status.
std::optional<boost::json::object> parse_status(const std::string& text) {
  boost::system::error_code failure;
  const boost::json::value parsed = boost::json::parse(text, failure);
  if (failure || !parsed.is_object() || !parsed.get_object().contains("ready")) return std::nullopt;
  return parsed.get_object();
}

}  // namespace

int run_status(const Config& config) {
  const std::string address = config.endpoints.metrics->to_string();
  const auto answer = http::fetch_url("http://" + address + "/status", kPatience);
  if (!answer) {
    HG_LOG(kError, "status", "no hypergate answers at {} ({}); start a provider or gateway with --metrics {}, or name the address it has",
           address, answer.error().message, address);
    return 1;
  }
  const auto status = parse_status(*answer);
  if (!status) {
    HG_LOG(kError, "status", "what answers at {} is no hypergate; name the address that --metrics of a provider or gateway has", address);
    return 1;
  }
  std::fputs((config.json ? boost::json::serialize(*status) + "\n" : status_text(*status)).c_str(), stdout);
  const boost::json::value& ready = status->at("ready");
  if (ready.is_bool() && ready.get_bool()) return 0;
  HG_LOG(kError, "status", "the hypergate at {} is not part of the network (yet); hypergate doctor says what is in the way", address);
  return 1;
}

}  // namespace hg::app
