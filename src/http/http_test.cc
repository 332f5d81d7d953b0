#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <thread>

#include "http/fetch.h"
#include "http/server.h"

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

TEST(Http, ErrorsNameTheSource) {
  EXPECT_NE(fetch_url("http://").error().message.find("http://"), std::string::npos);
  EXPECT_EQ(read_text_file("/nonexistent/file").error().message, "cannot read '/nonexistent/file': no such file");
  EXPECT_NE(read_text_file("/tmp").error().message.find("directory"), std::string::npos);
}

}  // namespace
}  // namespace hg::http
