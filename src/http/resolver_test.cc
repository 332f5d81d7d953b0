#include "http/resolver.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "sim/world.h"
#include "support/log_lines.h"

namespace hg::http {
namespace {

class ResolverTest : public ::testing::Test {
 protected:
  std::shared_ptr<tunnel::ServiceFlow> flow(uint16_t port, std::string remote = "127.0.0.1", std::string server = "127.0.0.1") {
    auto made = std::make_shared<tunnel::ServiceFlow>();
    made->gate_port = 8080;
    made->channel = port;
    made->remote_ip = std::move(remote);
    made->remote_port = port;
    made->server_ip = std::move(server);
    made->server_port = 80;
    made->fingerprint = R"({"id":"ab","source":{"ip":"203.0.113.9","port":555},"ingressLabels":["a","b\r\nX: y"],"hg":{"flow":1}})";
    made->created_at_ms = host_.wall_ms();
    made->last_traffic = host_.now();
    return made;
  }
  Response get(const std::string& target) { return resolver_.answer(request(target), listener_); }
  static Request request(const std::string& target, const std::string& host = {}) {
    Request request;
    request.method = "GET";
    request.target = target;
    if (!host.empty()) request.headers["host"] = host;
    return request;
  }
  static std::string query(uint16_t port, const std::string& remote = "127.0.0.1", const std::string& server = "127.0.0.1") {
    return "/resolve?proto=tcp&remote_addr=" + remote + "&remote_port=" + std::to_string(port) + "&server_addr=" + server +
           "&server_port=80";
  }

  sim::World world_{1};
  sim::Host& host_ = world_.add_host("10.0.0.1");
  tunnel::Limits limits_;
  const io::SocketAddress listener_ = *io::SocketAddress::parse("127.0.0.1", 8080);
  Resolver resolver_{host_, limits_, ""};
};

TEST_F(ResolverTest, ResolvesBySpellingsOfTheTuple) {
  resolver_.on_service_flow(flow(5000));
  resolver_.on_service_flow(flow(5001, "::1", "::1"));
  const Response found = get(query(5000));
  EXPECT_EQ(200, found.status);
  EXPECT_NE(std::string::npos, found.body.find(R"("key":"tcp|127.0.0.1|5000|127.0.0.1|80")"));
  EXPECT_NE(std::string::npos, found.body.find("203.0.113.9"));
  EXPECT_EQ(std::string::npos, found.body.find("\"hg\""));
  EXPECT_EQ("203.0.113.9", found.headers.at("X-Client-IP"));
  EXPECT_EQ("555", found.headers.at("X-Client-Port"));
  EXPECT_EQ("a,bX: y", found.headers.at("X-Ingress-Labels"));
  EXPECT_EQ(200, get(query(5000, "%3A%3Affff%3A127.0.0.1", "::ffff:127.0.0.1")).status);
  EXPECT_EQ(200, get(query(5001, "0:0:0:0:0:0:0:1", "::1")).status);
  EXPECT_EQ(200, get("/resolve?protocol=TCP&remoteAddr=127.0.0.1&remotePort=5000&localAddr=127.0.0.1&local_port=80").status);
  EXPECT_EQ(200, get("/resolve?remote_addr=127.0.0.1&remote_port=5000&server_addr=127.0.0.1&server_port=80").status);
  const Response missing = get(query(5002));
  EXPECT_EQ(404, missing.status);
  EXPECT_EQ(R"({"error":"not_found","key":"tcp|127.0.0.1|5002|127.0.0.1|80"})", missing.body);
  EXPECT_EQ(400, get("/resolve?proto=tcp").status);
  EXPECT_EQ(R"({"ok":true})", get("/health").body);
  EXPECT_EQ('[', get("/all").body.front());
  EXPECT_EQ(404, get("/other").status);
  Request post;
  post.method = "POST";
  post.target = "/resolve";
  EXPECT_EQ(405, resolver_.answer(post, listener_).status);
}

TEST_F(ResolverTest, APasswordCoversAllButHealth) {
  Resolver locked(host_, limits_, "user:pass");
  Request request;
  request.method = "GET";
  for (const char* target : {"/all", "/resolve", "/other"}) {
    request.target = target;
    request.headers.clear();
    EXPECT_EQ(401, locked.answer(request, listener_).status);
    EXPECT_TRUE(locked.answer(request, listener_).headers.contains("WWW-Authenticate"));
    request.headers["authorization"] = "Basic " + encode_base64(as_bytes("user:wrong"));
    EXPECT_EQ(401, locked.answer(request, listener_).status);
    request.headers["authorization"] = "basic " + encode_base64(as_bytes("user:pass"));
    EXPECT_NE(401, locked.answer(request, listener_).status);
  }
  request.headers.clear();
  request.target = "/health";
  EXPECT_EQ(200, locked.answer(request, listener_).status);
}

// DNS rebinding: a page of another site whose name was made to point at this machine.
TEST_F(ResolverTest, APageOfAnotherSiteReadsNothing) {
  resolver_.on_service_flow(flow(5000));
  const test::LogLines lines;
  for (const std::string& target : {std::string("/all"), query(5000)}) {
    const Response refused = resolver_.answer(request(target, "evil.example.com:8080"), listener_);
    EXPECT_EQ(403, refused.status) << target;
    EXPECT_EQ(std::string::npos, refused.body.find("203.0.113.9"));
    EXPECT_FALSE(refused.headers.contains("X-Client-IP"));
    for (const char* host : {"127.0.0.1:8080", "localhost:8080", "[::1]:8080"})
      EXPECT_EQ(200, resolver_.answer(request(target, host), listener_).status) << host;
  }
  EXPECT_EQ(1u, lines.warnings.size());
  EXPECT_EQ(200, resolver_.answer(request("/health", "evil.example.com"), listener_).status);
}

TEST_F(ResolverTest, AnotherNameWillDoWithAPasswordOrOnAnAddressForOtherMachines) {
  EXPECT_EQ(200, resolver_.answer(request("/all", "provider:8080"), *io::SocketAddress::parse("0.0.0.0", 8080)).status);
  Resolver locked(host_, limits_, "user:pass");
  Request known = request("/all", "provider:8080");
  EXPECT_EQ(401, locked.answer(known, listener_).status);
  known.headers["authorization"] = "Basic " + encode_base64(as_bytes("user:pass"));
  EXPECT_EQ(200, locked.answer(known, listener_).status);
}

// An SSH session over the weekend: its connection stays, and who is behind it can be asked.
TEST_F(ResolverTest, AnIdleTcpConnectionKeepsItsRecord) {
  resolver_.on_service_flow(flow(1));
  world_.run_for(60h);
  EXPECT_EQ(200, get(query(1)).status);
}

TEST_F(ResolverTest, RecordsOutliveTheirSocketByTwoMinutes) {
  auto open = flow(1);
  auto closed = flow(2);
  resolver_.on_service_flow(open);
  resolver_.on_service_flow(closed);
  closed->open = false;
  world_.run_for(119s);
  EXPECT_EQ(200, get(query(2)).status);
  world_.run_for(2s);
  EXPECT_EQ(404, get(query(2)).status);
  world_.run_for(15s);
  EXPECT_EQ(1u, resolver_.records());
  EXPECT_EQ(200, get(query(1)).status);
  // The port comes back for another client.
  auto next = flow(1);
  next->fingerprint = R"({"source":{"ip":"198.51.100.1"}})";
  resolver_.on_service_flow(next);
  EXPECT_EQ("198.51.100.1", get(query(1)).headers.at("X-Client-IP"));
  EXPECT_EQ(1u, resolver_.records());
}

TEST(Encoding, Base64InEverySpelling) {
  for (size_t size = 0; size < 50; ++size) {
    Bytes data(size);
    for (size_t i = 0; i < size; ++i) data[i] = static_cast<uint8_t>(i * 89 + size * 251);
    std::string text = encode_base64(data);
    EXPECT_EQ(data, decode_base64(text));
    while (!text.empty() && text.back() == '=') text.pop_back();
    std::replace(text.begin(), text.end(), '/', '_');
    std::replace(text.begin(), text.end(), '+', '-');
    EXPECT_EQ(data, decode_base64(text));
  }
  EXPECT_FALSE(decode_base64("a"));
  EXPECT_FALSE(decode_base64("ab*d"));
  EXPECT_EQ("b c&", parse_form("x&a=b+c%26&a=2&bad=%zz").at("a"));
  EXPECT_FALSE(parse_form("bad=%z").contains("bad"));
}

}  // namespace
}  // namespace hg::http
