#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <thread>

#include "http/fetch.h"
#include "http/server.h"
#include "support/descriptor_limit.h"

namespace hg::http {
namespace {

TEST(Http, ServesAndFetches) {
  SeededRng rng(1);
  io::Loop loop(rng);
  auto server = Server::listen(loop, *io::SocketAddress::parse("127.0.0.1", 0), [](const Request& request) {
    Response response;
    if (request.target == "/missing") response.status = 404;
    response.body = request.method + " " + request.target;
    return response;
  });
  ASSERT_TRUE(server.ok());
  const std::string base = "http://" + (*server)->local_address().to_string();
  Expected<std::string> found = Error{};
  Expected<std::string> missing = Error{};
  bool done = false;
  loop.run_blocking(
      [&] {
        found = fetch_url(base + "/a?b=c");
        missing = fetch_url(base + "/missing");
      },
      [&] { done = true; });
  ASSERT_TRUE(loop.run_until([&] { return done; }, 20s));
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(*found, "GET /a?b=c");
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.error().message.find("status 404"), std::string::npos);
}

TEST(Http, AsksForChangesAndAnswersLate) {
  SeededRng rng(1);
  io::Loop loop(rng);
  auto server = Server::listen_late(loop, *io::SocketAddress::parse("127.0.0.1", 0), [&](const Request& request, Server::Reply reply) {
    Response response;
    const auto since = request.headers.find("if-none-match");
    response.headers["ETag"] = "\"1\"";
    response.status = since != request.headers.end() && since->second == "\"1\"" ? 304 : 200;
    response.body = response.status == 200 ? "text" : "";
    loop.post([reply, response] { reply(response); });
  });
  ASSERT_TRUE(server.ok());
  const std::string url = "http://" + (*server)->local_address().to_string() + "/";
  Expected<Fetched> first = Error{};
  Expected<Fetched> second = Error{};
  bool done = false;
  loop.run_blocking(
      [&] {
        first = fetch_url_since(url, "");
        second = fetch_url_since(url, "\"1\"");
      },
      [&] { done = true; });
  ASSERT_TRUE(loop.run_until([&] { return done; }, 20s));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->text, "text");
  EXPECT_EQ(first->etag, "\"1\"");
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_TRUE(second->unchanged);
}

TEST(Http, AUrlsCredentialsAndPortAreSentAndNotShown) {
  SeededRng rng(1);
  io::Loop loop(rng);
  std::map<std::string, std::string> heard;
  const auto server = Server::listen(loop, *io::SocketAddress::parse("127.0.0.1", 0), [&](const Request& request) {
    heard = request.headers;
    Response response;
    response.status = 401;
    return response;
  });
  ASSERT_TRUE(server.ok());
  const std::string at = (*server)->local_address().to_string();
  std::string said;
  loop.run_blocking([&] { said = fetch_url("http://bob:hunter%202@" + at + "/a?token=t").error().message; }, [] {});
  ASSERT_TRUE(loop.run_until([&] { return !said.empty(); }, 20s));
  EXPECT_EQ("cannot read http://" + at + "/a?…: status 401", said);
  EXPECT_EQ("Basic Ym9iOmh1bnRlciAy", heard["authorization"]);
  EXPECT_EQ(at, heard["host"]);
}

TEST(Http, AUrlIsShownWithoutWhatMayBeSecret) {
  EXPECT_EQ("http://[::1]:80/a/b@c", shown_url("http://[::1]:80/a/b@c"));
  EXPECT_EQ("https://host/a", shown_url("https://user@host/a#x"));
  EXPECT_EQ("https://host/a?…", shown_url("https://u:p@host/a?q@r#x"));
  EXPECT_EQ("http://host/", shown_url("http://user:pa/ss@host/"));
  EXPECT_EQ("http://", shown_url("http://"));
  EXPECT_EQ(std::string::npos, fetch_url("http://user:pa ss@host/").error().message.find("ss"));
}

TEST(Http, WithoutADescriptorOrAThreadAUrlCannotBeRead) {
  const hg::test::DescriptorLimit none(0);
  EXPECT_EQ("cannot read http://127.0.0.1:1/: Too many open files", fetch_url("http://127.0.0.1:1/").error().message);
  EXPECT_EQ("cannot read https://127.0.0.1:1/: Too many open files", fetch_url("https://127.0.0.1:1/").error().message);
  EXPECT_EQ("cannot read '/dev/null': Too many open files", read_text_file("/dev/null").error().message);
}

TEST(Http, AServerThatHangsIsNotWaitedFor) {
  SeededRng rng(1);
  io::Loop loop(rng);  // does not run: connections are taken by the kernel alone
  const auto server = Server::listen(loop, *io::SocketAddress::parse("127.0.0.1", 0), [](const Request&) { return Response{}; });
  ASSERT_TRUE(server.ok());
  const std::string url = "http://" + (*server)->local_address().to_string() + "/";
  for (int i = 0; i < 10; ++i) EXPECT_EQ("cannot read " + url + ": no answer in time", fetch_url(url, 20ms).error().message);
}

// A client that says what it likes, or nothing.
class RawClient {
 public:
  explicit RawClient(const io::SocketAddress& address) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    EXPECT_EQ(0, ::connect(fd_, address.data(), address.size()));
  }
  ~RawClient() { ::close(fd_); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  void say(std::string_view text) const {
    EXPECT_EQ(static_cast<ssize_t>(text.size()), ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL));
  }
  bool ended() {
    hear();
    return ended_;
  }
  std::string heard() {
    hear();
    return heard_;
  }

 private:
  void hear() {
    char part[4096];
    ssize_t got = 0;
    while ((got = ::recv(fd_, part, sizeof part, MSG_DONTWAIT)) > 0) heard_.append(part, static_cast<size_t>(got));
    if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) ended_ = true;
  }
  int fd_;
  std::string heard_;
  bool ended_ = false;
};

constexpr std::string_view kAsk = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

class HttpBounds : public testing::Test {
 protected:
  HttpBounds() { EXPECT_TRUE(server_.ok()); }
  bool until(const std::function<bool()>& done) { return loop_.run_until(done, 20s); }

  SeededRng rng_{1};
  io::Loop loop_{rng_};
  size_t requests_ = 0;
  Expected<std::unique_ptr<Server>> server_ = Server::listen(loop_, *io::SocketAddress::parse("127.0.0.1", 0), [this](const Request&) {
    ++requests_;
    return Response{};
  });
  const io::SocketAddress address_ = (*server_)->local_address();
};

TEST_F(HttpBounds, WhoSaysNothingGivesWayToWhoAsks) {
  std::vector<std::unique_ptr<RawClient>> silent;
  for (size_t i = 0; i < kMaxConnections; ++i) silent.push_back(std::make_unique<RawClient>(address_));
  silent.back()->say(kAsk);
  ASSERT_TRUE(until([&] { return !silent.back()->heard().empty(); })) << "all are taken";
  const TimePoint begin = loop_.now();
  std::vector<std::unique_ptr<RawClient>> more;
  for (size_t i = 0; i < 3; ++i) {
    more.push_back(std::make_unique<RawClient>(address_));
    more.back()->say(kAsk);
    ASSERT_TRUE(until([&] { return more.back()->ended() || !more.back()->heard().empty(); }));
    EXPECT_TRUE(more.back()->heard().starts_with("HTTP/1.1 200")) << i;
  }
  EXPECT_LT(loop_.now() - begin, 3s);
  for (size_t i = 0; i < kMaxConnections; ++i) EXPECT_EQ(i < 3, silent[i]->ended()) << i;
  for (const auto& one : more) EXPECT_FALSE(one->ended());
  silent.back()->say(kAsk);
  EXPECT_TRUE(until([&] { return requests_ == 5; })) << "who asked lately is kept";
}

TEST_F(HttpBounds, AHeadThatDoesNotComeToItsEndIsNotWaitedForLong) {
  RawClient silent(address_);
  RawClient slow(address_);
  const TimePoint begin = loop_.now();
  for (const char* part : {"G", "E", "T"}) {
    slow.say(part);
    loop_.run_until([&] { return slow.ended(); }, 1s);
    EXPECT_FALSE(slow.ended());
  }
  ASSERT_TRUE(until([&] { return slow.ended(); }));
  EXPECT_LT(loop_.now() - begin, 10s);
  EXPECT_FALSE(silent.ended());
  silent.say(kAsk);
  EXPECT_TRUE(until([&] { return !silent.heard().empty(); }));
}

// Its answers are held until they are let go.
class HttpLateBounds : public testing::Test {
 protected:
  HttpLateBounds() { EXPECT_TRUE(server_.ok()); }
  bool until(const std::function<bool()>& done) { return loop_.run_until(done, 20s); }
  void answer(size_t number, std::string body = {}) {
    Response response;
    response.body = std::move(body);
    held_[number](std::move(response));
  }

  SeededRng rng_{1};
  io::Loop loop_{rng_};
  std::vector<Server::Reply> held_;
  Expected<std::unique_ptr<Server>> server_ = Server::listen_late(
      loop_, *io::SocketAddress::parse("127.0.0.1", 0), [this](const Request&, Server::Reply reply) { held_.push_back(std::move(reply)); });
  const io::SocketAddress address_ = (*server_)->local_address();
};

TEST_F(HttpLateBounds, WhoseRequestIsBeingAnsweredStays) {
  RawClient busy(address_);
  busy.say(kAsk);
  ASSERT_TRUE(until([&] { return held_.size() == 1; }));
  std::vector<std::unique_ptr<RawClient>> silent;
  for (size_t i = 0; i < kMaxConnections; ++i) silent.push_back(std::make_unique<RawClient>(address_));
  ASSERT_TRUE(until([&] { return silent.front()->ended(); }));
  EXPECT_FALSE(busy.ended());
  EXPECT_FALSE(silent[1]->ended());
  answer(0);
  ASSERT_TRUE(until([&] { return busy.ended() || !busy.heard().empty(); }));
  EXPECT_TRUE(busy.heard().starts_with("HTTP/1.1 200"));
}

TEST_F(HttpLateBounds, WhoTakesNoAnswerGivesWayWhereNobodyIsSilent) {
  RawClient deaf(address_);
  deaf.say(kAsk);
  ASSERT_TRUE(until([&] { return held_.size() == 1; }));
  answer(0, std::string(32 << 20, 'x'));
  std::vector<std::unique_ptr<RawClient>> busy;
  for (size_t i = 1; i < kMaxConnections; ++i) {
    busy.push_back(std::make_unique<RawClient>(address_));
    busy.back()->say(kAsk);
  }
  ASSERT_TRUE(until([&] { return held_.size() == kMaxConnections; }));
  RawClient next(address_);
  next.say(kAsk);
  ASSERT_TRUE(until([&] { return next.ended() || held_.size() == kMaxConnections + 1; }));
  EXPECT_FALSE(next.ended());
  EXPECT_TRUE(until([&] { return deaf.ended(); }));
  EXPECT_LT(deaf.heard().size(), size_t{32} << 20);
}

TEST_F(HttpLateBounds, ConnectionsBeyondTheMostAreClosedUntilOthersAreAnswered) {
  std::vector<std::unique_ptr<RawClient>> busy;
  for (size_t i = 0; i < kMaxConnections; ++i) {
    busy.push_back(std::make_unique<RawClient>(address_));
    busy.back()->say(kAsk);
  }
  ASSERT_TRUE(until([&] { return held_.size() == kMaxConnections; }));
  RawClient refused(address_);
  ASSERT_TRUE(until([&] { return refused.ended(); }));
  EXPECT_EQ("", refused.heard());
  answer(7);
  ASSERT_TRUE(until([&] { return !busy[7]->heard().empty(); }));
  RawClient next(address_);
  next.say(kAsk);
  ASSERT_TRUE(until([&] { return held_.size() == kMaxConnections + 1; }));
  EXPECT_TRUE(busy[7]->ended());
  for (size_t i = 0; i < kMaxConnections; ++i) EXPECT_EQ(i == 7, busy[i]->ended()) << i;
}

TEST_F(HttpBounds, OutOfDescriptorsItRestsBetweenItsAttempts) {
  RawClient client(address_);
  client.say(kAsk);
  size_t turns = 0;
  {
    const test::DescriptorLimit limit(0);
    loop_.run_until(
        [&] {
          ++turns;
          return false;
        },
        250ms);
  }
  EXPECT_LT(turns, 20u);
  EXPECT_EQ(0u, requests_);
  EXPECT_TRUE(until([&] { return !client.heard().empty(); }));
}

TEST_F(HttpBounds, ARequestThatIsTooLongIsNotHandled) {
  RawClient client(address_);
  client.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(kMaxRequestBytes + 1) + "\r\n\r\n");
  EXPECT_TRUE(until([&] { return client.ended(); }));
  RawClient endless(address_);
  endless.say("GET /" + std::string(16384, 'a'));
  EXPECT_TRUE(until([&] { return endless.ended(); }));
  EXPECT_EQ(0u, requests_);
}

TEST(Http, ErrorsNameTheSource) {
  EXPECT_NE(fetch_url("http://").error().message.find("http://"), std::string::npos);
  EXPECT_EQ(read_text_file("/nonexistent/file").error().message, "cannot read '/nonexistent/file': no such file");
  EXPECT_NE(read_text_file("/tmp").error().message.find("directory"), std::string::npos);
}

}  // namespace
}  // namespace hg::http
