// A Docker Engine of our own for tests: descriptions of containers as an engine writes them, and a fake engine behind a Unix socket.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "docker/container.h"
#include "docker/engine.h"
#include "docker/watcher.h"
#include "io/loop.h"

namespace hg::docker::test {

namespace json = boost::json;

inline std::string id_of(char digit) { return std::string(64, digit); }

inline json::object described(char digit, const std::string& name, json::array aliases, json::object labels = {}, json::object exposed = {},
                              json::object ports = {}) {
  aliases.push_back(json::value(std::string(12, digit)));  // the engine's own, last
  json::object network = {{"Aliases", aliases}, {"IPAddress", "172.18.0." + std::to_string(digit % 50)}};
  return {{"Id", id_of(digit)},
          {"Name", "/" + name},
          {"Image", "sha256:1"},
          {"State", json::object{{"Running", true}}},
          {"HostConfig", json::object{{"NetworkMode", "net"}}},
          {"Config", json::object{{"Labels", labels}, {"ExposedPorts", exposed}}},
          {"NetworkSettings", json::object{{"Ports", ports}, {"Networks", json::object{{"net", network}}}}}};
}

inline Container container(const json::object& description) { return *parse_container(json::serialize(description)); }

// An engine of our own: answers from a table, and holds the events connection open.
class FakeEngine {
 public:
  FakeEngine(io::Loop& loop, std::string path) : loop_(loop), path_(std::move(path)) { open(); }
  ~FakeEngine() { shut(); }

  void open() {
    std::filesystem::remove(path_);
    alive_ = std::make_shared<bool>(true);
    acceptor_.emplace(loop_.context(), Socket::protocol_type::endpoint(path_));
    accept();
  }
  /// As when the engine is killed.
  void shut() {
    *alive_ = false;
    acceptor_.reset();
    events_.reset();
    held_.clear();
    std::filesystem::remove(path_);
  }
  void say(const std::string& event) {
    ASSERT_NE(events_, nullptr);
    const std::string line = event + "\n";
    boost::asio::write(events_->socket, boost::asio::buffer(fmt::format("{:x}\r\n{}\r\n", line.size(), line)));
  }

  std::map<std::string, json::value> containers;  // by id: descriptions
  bool network_exists = true;
  std::set<std::string> unlisted;  // of `containers`
  std::string created_network = "{}";
  std::string networks = "[]";
  bool read_only = false;
  size_t inspections = 0;
  std::vector<std::string> asked;                       // "POST /networks/create" …
  std::function<bool(const std::string& asked)> holds;  // what is not answered before let_go()
  std::map<std::string, json::object> created;
  std::map<std::string, std::string> states;  // of created ones
  std::set<std::string> disconnected;         // of those, that are on no network
  std::string network_id = id_of('0');
  std::map<std::string, std::string> put;  // by id: the last archive
  bool has_events() const { return events_ != nullptr; }
  size_t held() const { return held_.size(); }
  void let_go() {
    holds = {};
    for (const auto& session : std::exchange(held_, {})) reply(session);
  }
  std::ptrdiff_t times_asked(const std::string& what) const { return std::count(asked.begin(), asked.end(), what); }

 private:
  using Socket = boost::asio::local::stream_protocol::socket;
  struct Session {
    explicit Session(Socket s) : socket(std::move(s)) {}
    Socket socket;
    boost::beast::flat_buffer buffer;
    boost::beast::http::request<boost::beast::http::string_body> request;
    boost::beast::http::response<boost::beast::http::string_body> response;
  };

  void accept() {
    acceptor_->async_accept([this, alive = alive_](boost::system::error_code error, Socket socket) {
      if (!*alive || error) return;
      serve(std::make_shared<Session>(std::move(socket)));
      accept();
    });
  }

  void serve(std::shared_ptr<Session> session) {
    boost::beast::http::async_read(
        session->socket, session->buffer, session->request, [this, session, alive = alive_](boost::system::error_code error, size_t) {
          if (!*alive || error) return;
          const std::string target(session->request.target());
          if (target.starts_with("/events")) {
            boost::asio::write(session->socket, boost::asio::buffer(std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")));
            events_ = session;
            return;
          }
          asked.push_back(std::string(session->request.method_string()) + " " + target.substr(0, target.find('?')));
          if (holds && holds(asked.back()))
            held_.push_back(session);
          else
            reply(session);
        });
  }

  void reply(std::shared_ptr<Session> session) {
    const std::string target(session->request.target());
    auto [status, body] =
        answer(std::string(session->request.method_string()), target.substr(0, target.find('?')), target, session->request.body());
    session->response.result(static_cast<boost::beast::http::status>(status));
    session->response.body() = body;
    session->response.prepare_payload();
    boost::beast::http::async_write(session->socket, session->response, [session](boost::system::error_code, size_t) {});
  }

  std::pair<int, std::string> answer(const std::string& method, const std::string& path, const std::string& target,
                                     const std::string& body) {
    if (read_only && method != "GET") return {403, R"({"message":"read only"})"};
    if (path == "/networks/create") return network_exists = true, std::pair<int, std::string>{201, created_network};
    if (path == "/networks") return {200, networks};
    if (path.ends_with("/connect")) return {200, ""};
    if (path.starts_with("/networks/"))
      return network_exists ? std::pair<int, std::string>{200, "{}"} : std::pair<int, std::string>{404, "{}"};
    if (path == "/containers/json") return {200, list(target.find("all=1") != std::string::npos)};
    if (path == "/containers/create") return create(target, body);
    const std::string id = path.substr(12, path.find('/', 12) - 12);
    if (path.ends_with("/json")) {
      ++inspections;
      if (!containers.contains(id)) return {404, R"({"message":"none"})"};
      return {200, json::serialize(containers[id])};
    }
    if (path.ends_with("/archive")) put[id] = body;
    if (path.ends_with("/start")) states[id] = "running";
    if (path.ends_with("/stop")) states[id] = "exited";
    if (method == "DELETE") created.erase(id), states.erase(id);
    return {204, ""};
  }

  std::pair<int, std::string> create(const std::string& target, const std::string& body) {
    const std::string name = target.substr(target.find("name=") + 5);
    for (const auto& [id, settings] : created)
      if (settings.at("Name").as_string() == name) return {409, "{}"};
    const std::string id = fmt::format("{:064x}", ++made_);
    created[id] = json::parse(body).as_object();
    created[id]["Name"] = name;
    states[id] = "created";
    return {201, json::serialize(json::object{{"Id", id}})};
  }

  std::string list(bool all) const {
    json::array entries;
    for (const auto& [id, description] : containers)
      if (!unlisted.contains(id)) entries.push_back(json::object{{"Id", id}, {"State", "running"}, {"Names", json::array{}}});
    if (all)
      for (const auto& [id, settings] : created)
        entries.push_back(json::object{{"Id", id},
                                       {"State", states.at(id)},
                                       {"Labels", settings.at("Labels")},
                                       {"Names", json::array{settings.at("Name")}},
                                       {"NetworkSettings", json::object{{"Networks", networks_of(id)}}}});
    return json::serialize(entries);
  }

  json::object networks_of(const std::string& id) const {
    return disconnected.contains(id) ? json::object{} : json::object{{"net", json::object{{"NetworkID", network_id}}}};
  }

  io::Loop& loop_;
  std::string path_;
  std::optional<boost::asio::local::stream_protocol::acceptor> acceptor_;
  std::shared_ptr<Session> events_;
  std::vector<std::shared_ptr<Session>> held_;
  std::shared_ptr<bool> alive_;
  uint64_t made_ = 0;
};

class WithEngine : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void watch(WatchOptions options) {
    watcher_.emplace(loop_, engine_, std::move(options),
                     Watcher::Callbacks{.on_containers = [this](const std::vector<Container>& list) { seen_ = list; },
                                        .on_event = {},
                                        .on_look_up = [this] { ++look_ups_; }});
    watcher_->start();
  }
  bool until(const std::function<bool()>& done) { return loop_.run_until(done, 20s); }
  bool asked(const std::string& what) const { return std::find(fake_.asked.begin(), fake_.asked.end(), what) != fake_.asked.end(); }
  void add(char digit, const std::string& name) {
    fake_.containers[id_of(digit)] = described(digit, name, {}, {}, {{"80/tcp", json::object{}}});
  }
  static std::string event(const char* action, char digit) {
    return json::serialize(json::object{{"Type", "container"}, {"Action", action}, {"Actor", json::object{{"ID", id_of(digit)}}}});
  }

  const std::string folder_ = std::filesystem::temp_directory_path() / fmt::format("hypergate-docker-test-{}", ::getpid());
  SeededRng rng_{1};
  io::Loop loop_{rng_};
  FakeEngine fake_{loop_, (std::filesystem::create_directories(folder_), folder_ + "/d.sock")};
  Engine engine_{loop_, folder_ + "/d.sock"};
  std::optional<Watcher> watcher_;
  std::vector<Container> seen_;
  int look_ups_ = 0;
};

}  // namespace hg::docker::test
