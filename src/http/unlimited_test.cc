#include "http/unlimited.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "crypto/crypto.h"
#include "crypto/openssl_enc.h"
#include "sim/world.h"

namespace hg::http {
namespace {

class UnlimitedTest : public ::testing::Test {
 protected:
  std::string token(int64_t ms, const std::string& ip, std::string_view secret = "s") {
    return sealed("{\"timestamp\":" + std::to_string(ms) + ",\"ip\":\"" + ip + "\"}", secret);
  }
  std::string sealed(const std::string& plain, std::string_view secret = "s") {
    return encode_base64(crypto::openssl_enc_seal(as_bytes(plain), secret, host_.rng().array<8>()));
  }
  Response ask(Request request, const char* caller = "203.0.113.10") {
    request.client = *io::SocketAddress::parse(caller, 1);
    Response answer;
    unlimited_.answer(request, [&](Response response) { answer = std::move(response); });
    return answer;
  }
  Response get(std::string payload, const char* caller = "203.0.113.10") {
    for (size_t at = 0; (at = payload.find('+', at)) != std::string::npos;) payload.replace(at, 1, "%2B");
    Request request;
    request.method = "GET";
    request.target = "/unlimited?payload=" + payload;
    return ask(std::move(request), caller);
  }
  Response post(std::string body) {
    Request request;
    request.method = "POST";
    request.target = "/unlimited";
    request.body = std::move(body);
    return ask(std::move(request));
  }

  sim::World world_{1};
  sim::Host& host_ = world_.add_host("10.0.0.1");
  std::vector<Grant> grants_;
  Unlimited unlimited_{host_, "s", [](auto work, auto done) { work(), done(); },
                       [this](const Grant& grant) {
                         grants_.push_back(grant);
                         return true;
                       }};
};

TEST_F(UnlimitedTest, GrantsThirtyMinutesToTheCaller) {
  const Response granted = get(token(host_.wall_ms(), "203.0.113.10"));
  EXPECT_EQ(200, granted.status) << granted.body;
  ASSERT_EQ(1u, grants_.size());
  EXPECT_EQ("203.0.113.10", grants_[0].ip);
  EXPECT_EQ(host_.wall_ms() + 1'800'000, grants_[0].expire_at_ms);
  EXPECT_EQ(200, get(token(host_.wall_ms(), "::ffff:203.0.113.10")).status);
  EXPECT_EQ(200, post(token(host_.wall_ms(), "203.0.113.10") + "\n").status);
  EXPECT_EQ(200, post("{\"payload\":\"" + token(host_.wall_ms(), "203.0.113.10") + "\"}").status);
  EXPECT_EQ(200, post("a=b&payload=" + token(host_.wall_ms(), "203.0.113.10")).status);
  EXPECT_EQ(200, get(sealed("{\"ts\":" + std::to_string(host_.wall_ms()) + ",\"ip\":\"203.0.113.10\"}")).status);
  EXPECT_EQ(200, get(sealed("{\"timestamp\":\"" + std::to_string(host_.wall_ms()) + "\",\"ip\":\"203.0.113.10\"}")).status);
}

TEST_F(UnlimitedTest, ATokenCountsOnceInWhateverSpelling) {
  std::string text = token(host_.wall_ms(), "203.0.113.10");
  EXPECT_EQ(200, get(text).status);
  EXPECT_EQ(409, get(text).status);
  while (text.back() == '=') text.pop_back();
  EXPECT_EQ(409, get(text).status);
  std::replace(text.begin(), text.end(), '/', '_');
  std::replace(text.begin(), text.end(), '+', '-');
  const Response replayed = get(text);
  EXPECT_EQ(409, replayed.status);
  EXPECT_EQ(R"({"ok":false,"error":"replay_detected"})", replayed.body);
  EXPECT_EQ(1u, grants_.size());
}

TEST_F(UnlimitedTest, RefusesWrongTimesAddressesAndContent) {
  const int64_t now = host_.wall_ms();
  EXPECT_EQ(403, get(token(now - 301'000, "203.0.113.10")).status);
  EXPECT_EQ(403, get(token(now + 301'000, "203.0.113.10")).status);
  EXPECT_EQ(R"({"ok":false,"error":"ip_mismatch","callerIp":"203.0.113.10"})", get(token(now, "203.0.113.11")).body);
  EXPECT_EQ(R"({"ok":false,"error":"invalid_payload"})", get(sealed("{}")).body);
  EXPECT_EQ(R"({"ok":false,"error":"invalid_payload"})", get(sealed(R"({"ts":"now","ip":"203.0.113.10"})")).body);
  EXPECT_EQ(R"({"ok":false,"error":"missing_payload"})", post("").body);
  EXPECT_TRUE(grants_.empty());
}

TEST_F(UnlimitedTest, AStrangerAlwaysHearsTheSame) {
  const std::string other = token(host_.wall_ms(), "203.0.113.10", "t");
  const std::string good = token(host_.wall_ms(), "203.0.113.10");
  std::set<std::string> answers;
  int turn = 0;
  for (const std::string& text : {other, std::string("x"), std::string("U2FsdGVkX18"), good.substr(0, 64), good.substr(8),
                                  std::string("***"), std::string(5000, 'a'), sealed("no json")}) {
    const Response answer = get(text, ("192.0.2." + std::to_string(++turn)).c_str());
    answers.insert(std::to_string(answer.status) + answer.body);
  }
  EXPECT_EQ(std::set<std::string>{R"(403{"ok":false,"error":"invalid_token"})"}, answers);
}

TEST_F(UnlimitedTest, AttemptsAreLimitedPerCallerAndInAll) {
  int refused = 0;
  for (int i = 0; i < 15; ++i) refused += get("x").status == 429;
  EXPECT_EQ(5, refused);
  world_.run_for(2s);
  EXPECT_EQ(403, get("x").status);
  refused = 0;
  for (int i = 0; i < 100; ++i) refused += get("x", ("192.0.2." + std::to_string(i)).c_str()).status == 429;
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace hg::http
