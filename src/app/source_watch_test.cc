#include "app/source_watch.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "base/rng.h"
#include "support/log_lines.h"
#include "support/scratch_folder.h"

namespace hg::app {
namespace {

class SourceWatchTest : public test::WithFolder {
 protected:
  void watch(Duration url_interval = 60s) {
    std::vector<Source> sources = sources_of(config_);
    for (Source& source : sources) ASSERT_TRUE(source.look());
    auto wanted = combine(said_by(sources));
    ASSERT_TRUE(wanted) << wanted.error().message;
    watch_ = std::make_unique<SourceWatch>(loop_, std::move(sources), std::move(*wanted), url_interval,
                                           [this](const Wanted& changed) { heard_.push_back(changed); });
  }
  bool hears(size_t count, Duration limit = 30s) {
    return loop_.run_until([&] { return heard_.size() >= count; }, limit);
  }

  SeededRng rng_{1};
  io::Loop loop_{rng_};
  Config config_;
  std::vector<Wanted> heard_;
  std::unique_ptr<SourceWatch> watch_;
};

TEST_F(SourceWatchTest, AChangedPolicyIsHeardOfAndABrokenOneIsNot) {
  const std::string path = write("p.json", "{}");
  config_.endpoints.ingress_policies = {path};
  watch();
  write("p.json", R"({"defaults":{"allow":"x"}})");
  EXPECT_FALSE(hears(1, 2500ms));
  write("p.json", R"({"defaults":{"allow":false}})");
  ASSERT_TRUE(hears(1));
  EXPECT_EQ(R"({"defaults":{"allow":false}})", heard_[0].ingress_policy);
  std::filesystem::remove(path);
  write("p.json", R"({"defaults":{"allow":true}})");
  ASSERT_TRUE(hears(2));
}

TEST_F(SourceWatchTest, EachFaultIsToldOnceAndThatItWent) {
  config_.services = {write("a.json", R"([{"gatePort":80}])"), write("b.json", R"([{"gatePort":81}])")};
  watch();
  test::LogLines log;
  const auto told = [&](size_t lines) { return loop_.run_until([&] { return log.all.size() == lines; }, 30s); };
  overwrite("a.json", R"([{"gatePort":80},{"ga)");  // half written
  ASSERT_TRUE(told(1));
  std::filesystem::remove(config_.services[1]);  // read in vain each second
  ASSERT_TRUE(told(2));
  overwrite("a.json", R"([{"gatePort":80},{"gatePort":82}])");
  ASSERT_TRUE(told(3));
  ASSERT_TRUE(hears(1));
  ASSERT_EQ(3u, heard_[0].services.size()) << "what the missing file said stays";
  EXPECT_EQ(81, heard_[0].services[2].gate_port);
  write("b.json", R"([{"gatePort":81}])");
  ASSERT_TRUE(told(4));
  EXPECT_EQ("sources: --provider: " + config_.services[0] + ": not JSON at line 1, column 22: incomplete JSON; the last good services stay",
            log.all[0]);
  EXPECT_EQ("sources: --provider: cannot read '" + config_.services[1] + "': no such file; the last good services stay", log.all[1]);
  EXPECT_EQ("sources: " + config_.services[0] + ": good again", log.all[2]);
  EXPECT_EQ("sources: " + config_.services[1] + ": good again", log.all[3]);
  EXPECT_EQ(1u, heard_.size());
}

/// A web server of one answer: who asks again waits for it.
class OneAnswer {
 public:
  explicit OneAnswer(std::string text) : thread_([this, text = std::move(text)] { answer(text); }) {}
  ~OneAnswer() {
    thread_.join();
    ::close(listener_);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }
  bool somebody_waits() const {
    pollfd waiting{listener_, POLLIN, 0};
    return ::poll(&waiting, 1, 0) == 1;
  }

 private:
  static int listen_anywhere() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, 8) != 0) std::abort();
    return fd;
  }
  static uint16_t port_of(int fd) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
  }
  void answer(const std::string& text) const {
    const int client = ::accept(listener_, nullptr, nullptr);
    char request[4096];
    if (::read(client, request, sizeof request) <= 0) std::abort();
    const std::string reply = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text;
    if (::write(client, reply.data(), reply.size()) != static_cast<ssize_t>(reply.size())) std::abort();
    ::close(client);
  }

  int listener_ = listen_anywhere();
  uint16_t port_ = port_of(listener_);
  std::thread thread_;
};

TEST_F(SourceWatchTest, AServerThatHangsDelaysNoFile) {
  OneAnswer server(R"({"defaults":{"labels":["of the server"]}})");
  config_.endpoints.ingress_policies = {server.url()};
  config_.services = {R"([{"gatePort":79}])", write("a.json", R"([{"gatePort":80}])")};
  watch(100ms);
  ASSERT_TRUE(loop_.run_until([&] { return server.somebody_waits(); }, 30s));
  for (const uint16_t port : {81, 82}) {
    write("a.json", R"([{"gatePort":)" + std::to_string(port) + "}]");
    ASSERT_TRUE(hears(port - 80u, 5s)) << "an answer is waited for 10 s";
    ASSERT_EQ(2u, heard_.back().services.size());
    EXPECT_EQ(79, heard_.back().services[0].gate_port);
    EXPECT_EQ(port, heard_.back().services[1].gate_port);
    EXPECT_NE(std::string::npos, heard_.back().ingress_policy.find("of the server"));
  }
}

TEST_F(SourceWatchTest, WhatIsTooMuchTogetherIsRefusedAsAWholeAndToldOnce) {
  config_.services = {write("a.json", R"([{"gatePort":"1-2000"}])"), write("b.json", R"([{"gatePort":"2001-4000"}])")};
  watch();
  test::LogLines log;
  write("b.json", R"([{"gatePort":"2001-4097"}])");
  ASSERT_TRUE(loop_.run_until([&] { return !log.all.empty(); }, 30s));
  EXPECT_EQ("sources: --provider: 4097 services are not accepted; at most 4096; what was good before stays", log.all[0]);
  write("b.json", R"([{"gatePort":"2001-4097","tags":"x"}])");
  EXPECT_FALSE(hears(1, 2500ms));
  EXPECT_EQ(1u, log.all.size());
  write("a.json", R"([{"gatePort":"1-1999"}])");
  ASSERT_TRUE(hears(1));
  EXPECT_EQ(4096u, heard_[0].services.size());
}

}  // namespace
}  // namespace hg::app
