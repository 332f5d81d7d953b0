#include "http/unlimited.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/log.h"
#include "crypto/crypto.h"
#include "crypto/openssl_enc.h"
#include "io/socket_address.h"

namespace hg::http {

namespace json = boost::json;

namespace {

constexpr size_t kMaxToken = 4096;  // characters; a real one has about 110
constexpr size_t kMaxCallers = 4096;
constexpr double kCallerRate = 1;
constexpr double kCallerBurst = 10;
constexpr double kAllRate = 20;
constexpr double kAllBurst = 40;

std::string fault_text(std::string_view error) { return json::serialize(json::object{{"ok", false}, {"error", error}}); }

Response fault(int status, std::string_view error) { return json_response(status, fault_text(error)); }

/// The token's text, from wherever the caller put it.
std::string find_token(const Request& request, const Target& target) {
  if (const auto found = target.query.find("payload"); found != target.query.end()) return found->second;
  if (request.method != "POST") return {};
  std::string_view body = request.body;
  while (!body.empty() && std::isspace(static_cast<unsigned char>(body.front()))) body.remove_prefix(1);
  while (!body.empty() && std::isspace(static_cast<unsigned char>(body.back()))) body.remove_suffix(1);
  if (body.starts_with('{')) {
    boost::system::error_code failure;
    const json::value parsed = json::parse(body, failure);
    const json::value* payload = failure || !parsed.is_object() ? nullptr : parsed.get_object().if_contains("payload");
    return payload != nullptr && payload->is_string() ? std::string(payload->get_string()) : std::string();
  }
  if (body.find("payload=") != std::string_view::npos) {
    const auto form = parse_form(body);
    const auto found = form.find("payload");
    return found == form.end() ? std::string() : found->second;
  }
  return std::string(body);
}

/// A number, or one in quotes, as `jq --arg` writes it.
std::optional<int64_t> read_time(const json::object& object) {
  const json::value* value = object.if_contains("timestamp");
  if (value == nullptr) value = object.if_contains("ts");
  if (value == nullptr) return std::nullopt;
  double number = std::numeric_limits<double>::quiet_NaN();
  if (value->is_number()) number = value->to_number<double>();
  if (value->is_string()) {
    const std::string_view text = value->get_string();
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  }
  return std::isfinite(number) && std::abs(number) < 9e15 ? std::optional(static_cast<int64_t>(number)) : std::nullopt;
}

}  // namespace

Unlimited::Unlimited(Runtime& runtime, std::string secret, RunBlocking run_blocking, OnGrant on_grant)
    : runtime_(runtime), secret_(std::move(secret)), run_blocking_(std::move(run_blocking)), on_grant_(std::move(on_grant)) {}

Unlimited::~Unlimited() { *alive_ = false; }

bool Unlimited::Allowance::take(TimePoint now, double rate, double burst) {
  tokens = at == TimePoint{} ? burst : std::min(burst, tokens + rate * to_seconds(now - at));
  at = now;
  if (tokens < 1) return false;
  tokens -= 1;
  return true;
}

bool Unlimited::within_rate(const std::string& caller) {
  const TimePoint now = runtime_.now();
  if (callers_.size() >= kMaxCallers) {
    std::erase_if(callers_, [&](const auto& entry) { return to_seconds(now - entry.second.at) * kCallerRate >= kCallerBurst; });
    if (callers_.size() >= kMaxCallers) callers_.clear();
  }
  return callers_[caller].take(now, kCallerRate, kCallerBurst) && all_.take(now, kAllRate, kAllBurst);
}

void Unlimited::answer(const Request& request, const Server::Reply& reply) {
  const Target target = parse_target(request.target);
  if (target.path != "/unlimited") return reply(fault(404, "not_found"));
  if (request.method != "GET" && request.method != "POST") return reply(wrong_method(fault_text("method_not_allowed"), "GET, POST"));
  const std::string caller = request.client.canonical_host();
  if (caller.empty()) return reply(fault(400, "missing_caller_ip"));
  if (!within_rate(caller)) return reply(fault(429, "rate_limited"));
  const std::string text = find_token(request, target);
  if (text.empty()) return reply(fault(400, "missing_payload"));
  auto token = text.size() <= kMaxToken ? decode_base64(text) : std::nullopt;
  if (!token) return reply(fault(403, "invalid_token"));
  auto plain = std::make_shared<std::optional<Bytes>>();
  auto sealed = std::make_shared<const Bytes>(std::move(*token));
  run_blocking_([plain, sealed, secret = secret_] { *plain = crypto::openssl_enc_open(*sealed, secret); },
                [this, alive = alive_, plain, sealed, caller, reply] {
                  if (*alive) reply(judge(caller, *sealed, *plain));
                });
}

Response Unlimited::judge(const std::string& caller, const Bytes& token, const std::optional<Bytes>& plain) {
  if (!plain) return fault(403, "invalid_token");
  boost::system::error_code failure;
  const json::value parsed = json::parse(as_text(*plain), failure);
  if (failure || !parsed.is_object()) return fault(403, "invalid_token");  // noise with good padding: a stranger's
  const json::object& object = parsed.get_object();
  const auto time = read_time(object);
  const json::value* ip = object.if_contains("ip");
  const auto address = ip == nullptr || !ip->is_string() ? std::nullopt : io::SocketAddress::parse(std::string_view(ip->get_string()), 0);
  if (!time || !address) return fault(400, "invalid_payload");
  const int64_t now_ms = runtime_.wall_ms();
  if (std::abs(now_ms - *time) > to_ms(kWindow)) return fault(403, "timestamp_out_of_window");
  if (address->canonical_host() != caller)
    return json_response(403, json::serialize(json::object{{"ok", false}, {"error", "ip_mismatch"}, {"callerIp", caller}}));
  if (!remember(token, *time + to_ms(kWindow))) return fault(409, "replay_detected");
  const Grant grant{caller, now_ms + to_ms(kGranted)};
  if (!on_grant_(grant)) return fault(503, "too_many_overrides");
  HG_LOG(kInfo, "ingress", "unlimited override of {} for {} min", caller, to_ms(kGranted) / 60000);
  return json_response(200, json::serialize(json::object{{"ok", true}, {"ip", grant.ip}, {"expireAt", grant.expire_at_ms}}));
}

/// False: used before, or nothing more can be remembered.
bool Unlimited::remember(const Bytes& token, int64_t until_ms) {
  const int64_t now_ms = runtime_.wall_ms();
  if (used_.size() >= kMaxRemembered) std::erase_if(used_, [&](const auto& entry) { return entry.second < now_ms; });
  if (used_.size() >= kMaxRemembered) return false;
  return used_.emplace(crypto::blake2b_256({token}), until_ms).second;
}

}  // namespace hg::http
