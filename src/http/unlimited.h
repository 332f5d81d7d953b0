// The gateway's /unlimited endpoint: a machine that knows the shared secret lifts the ingress limits of its own address for 30 minutes.
//
//   GET /unlimited?payload=TOKEN      POST /unlimited with the token raw, as JSON {"payload"} or as a form
//   TOKEN = base64url of crypto::openssl_enc of {"timestamp" (or "ts"): ms, "ip"}
//
//   rate limit ─▶ decode ─▶ decrypt (helper thread) ─▶ time ±5 min ─▶ token's address = caller's ─▶ not used before ─▶ grant
//
// Whoever does not know the secret gets the same answer, invalid_token, whatever is wrong. A used token is remembered by its decoded bytes
// for as long as its time would be accepted. One thread.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <unordered_map>

#include "base/ids.h"
#include "http/encoding.h"
#include "http/server.h"

namespace hg::http {

struct Grant {
  std::string ip;
  int64_t expire_at_ms = 0;
};

/// What a token says, checked without I/O; `run_blocking` is for the 10,000 rounds of its key.
class Unlimited {
 public:
  static constexpr Duration kWindow = 5min;
  static constexpr Duration kGranted = 30min;
  static constexpr size_t kMaxRemembered = 65536;

  using RunBlocking = std::function<void(std::function<void()> work, std::function<void()> done)>;
  /// False: no room for another override.
  using OnGrant = std::function<bool(const Grant&)>;

  Unlimited(Runtime& runtime, std::string secret, RunBlocking run_blocking, OnGrant on_grant);
  ~Unlimited();

  void answer(const Request& request, const Server::Reply& reply);

 private:
  // Attempts a second, with a small burst: for one caller, and for all together.
  struct Allowance {
    double tokens = 0;
    TimePoint at{};
    bool take(TimePoint now, double rate, double burst);
  };

  bool within_rate(const std::string& caller);
  Response judge(const std::string& caller, const Bytes& token, const std::optional<Bytes>& plain);
  bool remember(const Bytes& token, int64_t until_ms);

  Runtime& runtime_;
  const std::string secret_;
  RunBlocking run_blocking_;
  OnGrant on_grant_;
  Allowance all_;
  std::unordered_map<std::string, Allowance> callers_;
  std::unordered_map<Hash32, int64_t, ArrayHash> used_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hg::http
