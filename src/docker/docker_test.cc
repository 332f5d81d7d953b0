#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <filesystem>
#include <optional>

#include "base/rng.h"
#include "docker/discovery.h"
#include "docker/engine.h"
#include "docker/helper_spec.h"
#include "docker/helpers.h"
#include "docker/self.h"
#include "docker/tar.h"
#include "docker/watcher.h"
#include "io/loop.h"

namespace hg::docker {
namespace {

namespace json = boost::json;
using tunnel::Protocol;
using tunnel::Service;

std::string id_of(char digit) { return std::string(64, digit); }

json::object described(char digit, const std::string& name, json::array aliases, json::object labels = {}, json::object exposed = {},
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

Container container(const json::object& description) { return *parse_container(json::serialize(description)); }

std::vector<std::string> lines(const Discovery& found) {
  std::vector<std::string> out;
  for (const Service& s : found.services)
    out.push_back(
        fmt::format("{}:{}>{}/{} {}", s.service_host, s.service_port, s.gate_port, s.protocol == Protocol::kUdp ? "udp" : "tcp", s.tags));
  return out;
}

std::vector<std::string> found_in(const json::object& description) {
  const std::vector<Container> list = {container(description)};
  return lines(discover(list, {"net", "", {}}));
}

using Lines = std::vector<std::string>;

TEST(Container, FromTheEnginesDescription) {
  const json::object bindings = {{"80/tcp", json::array{json::object{{"HostIp", "0.0.0.0"}, {"HostPort", "8080"}},
                                                        json::object{{"HostIp", "::"}, {"HostPort", "8080"}}}},
                                 {"443/tcp", nullptr},
                                 {"9/sctp", nullptr}};
  const Container c =
      container(described('a', "web", {"web.hyper"}, {{"x", "y"}}, {{"80/tcp", json::object{}}, {"53/udp", json::object{}}}, bindings));
  EXPECT_EQ(c.name, "web");
  EXPECT_TRUE(c.running);
  EXPECT_EQ(c.labels.at("x"), "y");
  EXPECT_EQ(c.networks.at("net").aliases, Lines{"web.hyper"});
  ASSERT_EQ(c.ports.size(), 3u);
  EXPECT_EQ(c.ports[0], (ContainerPort{53, Protocol::kUdp, {}}));
  EXPECT_EQ(c.ports[1], (ContainerPort{80, Protocol::kTcp, {8080}}));
  EXPECT_EQ(c.ports[2], (ContainerPort{443, Protocol::kTcp, {}}));
}

TEST(Container, BrokenDescriptionsAreErrors) {
  for (const char* bad : {"", "[]", "{}", "{\"Id\":5}", "{\"Id\":\"\"}", "nonsense"}) EXPECT_FALSE(parse_container(bad).ok()) << bad;
  for (const char* odd : {R"({"Id":"a","NetworkSettings":[],"Config":null})",
                          R"({"Id":"a","NetworkSettings":{"Ports":{"x":1,"0/tcp":[],"80":[1]},"Networks":{"n":0}}})"})
    EXPECT_TRUE(parse_container(odd).ok()) << odd;
  EXPECT_FALSE(parse_container_list("{}").ok());
  EXPECT_EQ(parse_container_list(R"([1, {"Id":""}, {"Id":"b","Names":["/n"],"State":"exited"}])")->size(), 1u);
}

TEST(Discovery, ExposedAndPublishedPorts) {
  EXPECT_EQ(found_in(described('a', "db", {"mysql.hyper"}, {}, {{"3306/tcp", json::object{}}})), Lines{"mysql.hyper:3306>3306/tcp docker"});
  EXPECT_EQ(found_in(described('a', "db", {}, {}, {{"53/udp", json::object{}}})), Lines{"db:53>53/udp docker"});
  const json::object bindings = {{"80/tcp", json::array{json::object{{"HostPort", "8080"}}}}};
  EXPECT_EQ(found_in(described('a', "web", {}, {}, {}, bindings)), (Lines{"web:80>80/tcp docker", "web:80>8080/tcp docker published"}));
  const json::object same = {{"80/tcp", json::array{json::object{{"HostPort", "80"}}}}};
  EXPECT_EQ(found_in(described('a', "web", {}, {}, {}, same)), Lines{"web:80>80/tcp docker published"});
}

TEST(Discovery, Labels) {
  const json::object exposed = {{"80/tcp", json::object{}}, {"53/udp", json::object{}}};
  auto with = [&](json::object labels, json::object bindings = {}) {
    return found_in(described('a', "c", {}, std::move(labels), exposed, std::move(bindings)));
  };
  EXPECT_EQ(with({{"hypergate.EXCLUDE", "true"}}), Lines{});
  EXPECT_EQ(with({{"hypergate.EXCLUDE", "\"true\""}}), Lines{});
  EXPECT_EQ(with({{"hypergate.EXCLUDE", "false"}}).size(), 2u);
  EXPECT_EQ(with({{"hypergate.UNEXPOSE", "*"}}), Lines{});
  EXPECT_EQ(with({{"hypergate.UNEXPOSE", "80"}}), Lines{"c:53>53/udp docker"});
  EXPECT_EQ(with({{"hypergate.UNEXPOSE", "53/tcp, 80/tcp"}}), Lines{"c:53>53/udp docker"});
  EXPECT_EQ(with({{"hypergate.UNEXPOSE", "*"}}, {{"80/tcp", json::array{json::object{{"HostPort", "8080"}}}}}),
            Lines{"c:80>8080/tcp docker published"});
  EXPECT_EQ(with({{"hypergate.UNEXPOSE", "*"}, {"hypergate.EXPOSE", "3306"}}), Lines{"c:3306>3306/tcp docker"});
  EXPECT_EQ(with({{"hypergate.UNEXPOSE", "*"}, {"hypergate.EXPOSE", "\"3306:13306/tcp\", 5353/udp"}}),
            (Lines{"c:5353>5353/udp docker", "c:3306>13306/tcp docker published"}));
}

TEST(Discovery, BrokenLabelsAreNamedAndTheRestStands) {
  const std::vector<Container> list = {
      container(described('a', "c", {}, {{"hypergate.EXPOSE", "80,x,70000,81:0,82/sctp,*,83"}, {"hypergate.UNEXPOSE", "1:2"}}))};
  const Discovery found = discover(list, {"net", "", {}});
  EXPECT_EQ(lines(found), (Lines{"c:80>80/tcp docker", "c:83>83/tcp docker"}));
  ASSERT_EQ(found.faults.size(), 6u);
  EXPECT_EQ(found.faults[1], "container c: label hypergate.EXPOSE: 'x' is not port[:public port][/protocol]");
}

TEST(Discovery, OneAliasOnTwoContainersIsOneServiceWithTwoAddresses) {
  const json::object exposed = {{"80/tcp", json::object{}}};
  const std::vector<Container> list = {container(described('a', "one", {"web"}, {}, exposed)),
                                       container(described('b', "two", {"web"}, {}, exposed))};
  const Discovery found = discover(list, {"net", "", {}});
  EXPECT_EQ(lines(found), Lines{"web:80>80/tcp docker"});
  EXPECT_EQ(found.addresses.at({"web", 80, Protocol::kTcp}).size(), 2u);
  EXPECT_EQ(found.local_hosts, (std::set<std::string>{"one", "two", "web"}));
}

TEST(Discovery, SelfHelpersAndOtherNetworksAreLeftOut) {
  const json::object exposed = {{"80/tcp", json::object{}}};
  std::vector<Container> list = {container(described('a', "self", {}, {}, exposed)),
                                 container(described('b', "helper", {"remote"}, {{kLabelHelper, "r"}}, exposed)),
                                 container(described('c', "x-hypergate-gateway-secret", {}, {}, exposed)),
                                 container(described('d', "stopped", {}, {}, exposed)), container(described('e', "away", {}, {}, exposed))};
  list[3].running = false;
  list[4].networks.clear();
  const Discovery found = discover(list, {"net", id_of('a'), {"secret"}});
  EXPECT_TRUE(found.services.empty());
  EXPECT_FALSE(found.local_hosts.contains("remote"));
  EXPECT_TRUE(found.local_hosts.contains("self"));
}

TEST(Events, AreReducedToTheContainer) {
  const auto start = parse_event(
      R"({"Type":"container","Action":"start","Actor":{"ID":"abc","Attributes":{"name":"n","hypergate.helper":"r"}},"timeNano":1795340349280109037})");
  ASSERT_TRUE(start.ok());
  EXPECT_EQ(start->container, "abc");
  EXPECT_EQ(start->attributes.at("hypergate.helper"), "r");
  EXPECT_EQ(start->time_ns, 1795340349280109037);
  const auto connect = parse_event(R"({"Type":"network","Action":"connect","Actor":{"ID":"net","Attributes":{"container":"abc"}}})");
  EXPECT_EQ(connect->container, "abc");
  EXPECT_FALSE(parse_event("nonsense").ok());
}

TEST(Self, FromMountinfo) {
  const std::string id = id_of('c');
  EXPECT_EQ(container_id_of("635 624 254:1 /var/lib/docker/containers/" + id + "/resolv.conf /etc/resolv.conf rw - ext4 /dev/x rw\n"), id);
  EXPECT_EQ(container_id_of("635 624 254:1 /x/containers/" + id + "/shm /x rw\n"), std::nullopt);  // the host sees a container's memory
  EXPECT_EQ(container_id_of("1 2 3:4 / / rw\n"), std::nullopt);
  EXPECT_TRUE(host_process_alive(host_process_tag()));
  EXPECT_FALSE(host_process_alive("host:1:0"));
  EXPECT_FALSE(host_process_alive("host:../x"));
}

TEST(Helper, HostsThatCanBeNames) {
  for (const char* good : {"mysql.hyper", "db", "a_b", "1web", "web-2.example"}) EXPECT_TRUE(helper_possible(good)) << good;
  for (const char* bad : {"", "localhost", "127.0.0.1", "::1", "a b", "../x", "-x", ".x", "x.", "a/b", "10"})
    EXPECT_FALSE(helper_possible(bad)) << bad;
  EXPECT_FALSE(helper_possible(std::string(254, 'a')));
}

TEST(Helper, SettingsNameTheHostAndNeverTheSecret) {
  HelperSpec spec{"mysql.hyper", "0123456789ab", "net", "img", "owner", {{"HYPERGATE_BOOTSTRAP", "1.2.3.4:5"}}, {}};
  const json::value settings = json::parse(helper_settings(spec));
  EXPECT_EQ(settings.at("Hostname").as_string(), "mysql.hyper");
  EXPECT_EQ(settings.at("Labels").at("hypergate.EXCLUDE").as_string(), "true");
  EXPECT_EQ(settings.at("NetworkingConfig").at("EndpointsConfig").at("net").at("Aliases").at(0).as_string(), "mysql.hyper");
  const std::string environment = json::serialize(settings.at("Env"));
  for (const char* part : {"HYPERGATE_ROUTER_FILE=/run/hypergate/router", "HYPERGATE_LISTEN=0.0.0.0", "HYPERGATE_BOOTSTRAP=1.2.3.4:5"})
    EXPECT_NE(environment.find(part), std::string::npos) << part;
  EXPECT_EQ(environment.find("HYPERGATE_ROUTER="), std::string::npos);
  EXPECT_EQ(helper_name(spec.host, spec.router), "mysql.hyper-hypergate-gateway-0123456789ab");
}

TEST(Helper, FilterIsTheGatewaysNarrowed) {
  EXPECT_EQ(helper_filter({}, "db"), R"([{"serviceHost":"db"}])");
  tunnel::GateMatch port;
  port.gate_port = 3306;
  tunnel::GateMatch other;
  other.service_host = "web";
  EXPECT_EQ(helper_filter({port, other}, "db"), R"([{"serviceHost":"db","gatePort":3306}])");
}

TEST(Tar, FileWithModeAndOwner) {
  const std::string archive = helper_secret_archive("secret\n");
  ASSERT_EQ(archive.size() % 512, 0u);
  ASSERT_GE(archive.size(), 6u * 512);
  EXPECT_STREQ(archive.data(), "run");
  EXPECT_EQ(archive[156], '5');
  const char* file = archive.data() + 1024;
  EXPECT_STREQ(file, "run/hypergate/router");
  EXPECT_STREQ(file + 100, "0000400");
  EXPECT_STREQ(file + 108, "0177774");  // 65532
  EXPECT_STREQ(file + 124, "00000000007");
  EXPECT_STREQ(file + 257, "ustar");
  EXPECT_STREQ(file + 512, "secret\n");
  uint32_t sum = 0;
  for (int i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(file[i]);
  EXPECT_EQ(std::stoul(std::string(file + 148, 6), nullptr, 8), sum);
}

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
  std::vector<std::string> asked;  // "POST /networks/create" …
  std::map<std::string, json::object> created;
  std::map<std::string, std::string> states;  // of created ones
  std::string put;
  bool has_events() const { return events_ != nullptr; }

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
          auto [status, body] =
              answer(std::string(session->request.method_string()), target.substr(0, target.find('?')), target, session->request.body());
          session->response.result(static_cast<boost::beast::http::status>(status));
          session->response.body() = body;
          session->response.prepare_payload();
          boost::beast::http::async_write(session->socket, session->response, [session](boost::system::error_code, size_t) {});
        });
  }

  std::pair<int, std::string> answer(const std::string& method, const std::string& path, const std::string& target,
                                     const std::string& body) {
    asked.push_back(method + " " + path);
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
    if (path.ends_with("/archive")) put = body;
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
        entries.push_back(json::object{
            {"Id", id}, {"State", states.at(id)}, {"Labels", settings.at("Labels")}, {"Names", json::array{settings.at("Name")}}});
    return json::serialize(entries);
  }

  io::Loop& loop_;
  std::string path_;
  std::optional<boost::asio::local::stream_protocol::acceptor> acceptor_;
  std::shared_ptr<Session> events_;
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

TEST_F(WithEngine, EventsChangeThePicture) {
  add('a', "one");
  watch({"net", false, {}, 1h});
  ASSERT_TRUE(until([&] { return seen_.size() == 1; }));
  add('b', "two");
  fake_.say(event("start", 'b'));
  ASSERT_TRUE(until([&] { return seen_.size() == 2; }));
  EXPECT_EQ(fake_.inspections, 2u);  // what is known is not asked again
  fake_.containers.erase(id_of('a'));
  fake_.say(event("die", 'a'));
  ASSERT_TRUE(until([&] { return seen_.size() == 1; }));
  EXPECT_EQ(seen_[0].name, "two");
}

TEST_F(WithEngine, RefreshFindsWhatNoEventTold) {
  watch({"net", false, {}, 20ms});
  ASSERT_TRUE(until([&] { return look_ups_ == 1; }));
  add('a', "one");
  EXPECT_TRUE(until([&] { return seen_.size() == 1; }));
}

TEST_F(WithEngine, EngineThatRestartsIsFollowedAgain) {
  add('a', "one");
  watch({"net", false, {}, 1h});
  ASSERT_TRUE(until([&] { return seen_.size() == 1; }));
  fake_.shut();
  fake_.containers.clear();
  add('b', "two");
  fake_.open();
  ASSERT_TRUE(until([&] { return seen_.size() == 1 && seen_[0].name == "two"; }));
  ASSERT_TRUE(until([&] { return fake_.has_events(); }));
  fake_.containers.clear();
  fake_.say(event("die", 'b'));
  EXPECT_TRUE(until([&] { return seen_.empty(); }));
}

TEST_F(WithEngine, AContainerThatTheListDoesNotHaveYetIsSeen) {
  watch({"net", false, std::nullopt, 1h});
  ASSERT_TRUE(until([&] { return look_ups_ == 1 && fake_.has_events(); }));
  add('b', "two");
  fake_.unlisted.insert(id_of('b'));
  fake_.say(event("start", 'b'));
  EXPECT_TRUE(until([&] { return seen_.size() == 1; }));
  fake_.containers.clear();
  fake_.say(event("die", 'b'));
  EXPECT_TRUE(until([&] { return seen_.empty(); }));
}

TEST_F(WithEngine, MissingNetworkIsCreatedAndSelfAttached) {
  fake_.network_exists = false;
  json::object self = described('f', "self", {});
  self["NetworkSettings"] = json::object{{"Networks", json::object{}}};
  fake_.containers[id_of('f')] = self;
  watch({"net", true, id_of('f'), 1h});
  ASSERT_TRUE(until([&] { return look_ups_ == 1; }));
  EXPECT_TRUE(asked("POST /networks/create"));
  EXPECT_TRUE(asked("POST /networks/net/connect"));
  EXPECT_EQ(watcher_->self()->name, "self");
}

TEST_F(WithEngine, OfTwoNetworksMadeAtOnceTheYoungerGoes) {
  fake_.network_exists = false;
  json::object self = described('f', "self", {});
  self["NetworkSettings"] = json::object{{"Networks", json::object{}}};
  fake_.containers[id_of('f')] = self;
  fake_.created_network = R"({"Id":"ours","Warning":""})";
  fake_.networks =
      R"([{"Name":"net","Id":"ours","Created":"2026-01-31T12:00:00.25Z"},{"Name":"network","Id":"none","Created":"2026-01-31T11:00:00Z"},
    {"Name":"net","Id":"theirs","Created":"2026-01-31T12:00:00.2000001Z"}])";
  watch({"net", true, id_of('f'), 1h});
  ASSERT_TRUE(until([&] { return look_ups_ == 1; }));
  EXPECT_TRUE(asked("DELETE /networks/ours"));
  EXPECT_TRUE(asked("POST /networks/theirs/connect"));
}

TEST_F(WithEngine, OfTwoNetworksMadeAtOnceTheOlderStays) {
  fake_.network_exists = false;
  fake_.created_network = R"({"Id":"ours"})";
  fake_.networks =
      R"([{"Name":"net","Id":"theirs","Created":"2026-01-31T12:00:00.3Z"},{"Name":"net","Id":"ours","Created":"2026-01-31T12:00:00.25Z"}])";
  watch({"net", false, std::nullopt, 1h});
  ASSERT_TRUE(until([&] { return look_ups_ == 1; }));
  EXPECT_FALSE(asked("DELETE /networks/ours"));
}

TEST_F(WithEngine, ReadOnlyEngineSuffices) {
  fake_.read_only = true;
  fake_.containers[id_of('f')] = described('f', "self", {});
  add('a', "one");
  watch({"net", true, id_of('f'), 20ms});
  ASSERT_TRUE(until([&] { return seen_.size() == 2; }));
  fake_.network_exists = false;  // it cannot be made: waits for it
  fake_.containers.clear();
  const int before = look_ups_;
  EXPECT_TRUE(until([&] { return look_ups_ > before + 2; }));
  fake_.network_exists = true;
  add('b', "two");
  EXPECT_TRUE(until([&] { return seen_.size() == 1 && seen_[0].name == "two"; }));
}

class WithHelpers : public WithEngine {
 protected:
  HelperOptions options() const { return {{"", "routername", "net", "img", host_process_tag(), {}, {}}, std::string(64, 'e')}; }
  size_t running() const {
    return static_cast<size_t>(
        std::count_if(fake_.states.begin(), fake_.states.end(), [](const auto& entry) { return entry.second == "running"; }));
  }
};

TEST_F(WithHelpers, FollowWhatIsWanted) {
  Helpers helpers(loop_, engine_, options());
  helpers.want({"db", "web", "127.0.0.1"});
  ASSERT_TRUE(until([&] { return running() == 2; }));
  EXPECT_NE(fake_.put.find(std::string(64, 'e')), std::string::npos);
  for (const auto& [id, settings] : fake_.created) EXPECT_EQ(json::serialize(settings).find(std::string(64, 'e')), std::string::npos);
  helpers.want({"web"});
  ASSERT_TRUE(until([&] { return fake_.created.size() == 1; }));
  bool stopped = false;
  helpers.stop([&] { stopped = true; });
  ASSERT_TRUE(until([&] { return stopped; }));
  EXPECT_TRUE(fake_.created.empty());
}

TEST_F(WithHelpers, OneThatIsKilledIsMadeAgain) {
  Helpers helpers(loop_, engine_, options());
  helpers.want({"db"});
  ASSERT_TRUE(until([&] { return running() == 1; }));
  const std::string id = fake_.states.begin()->first;
  fake_.states[id] = "exited";
  helpers.on_event({"container", "die", id, {{kLabelHelper, "routername"}}, 0});
  ASSERT_TRUE(until([&] { return running() == 1; }));
  EXPECT_FALSE(fake_.created.contains(id));
}

TEST_F(WithHelpers, LeftoversGoAndOthersStay) {
  auto foreign = [&](const std::string& host, const std::string& owner, char id) {
    fake_.created[id_of(id)] = {
        {"Name", host + "-hypergate-gateway-routername"},
        {"Labels", json::object{{kLabelHelper, "routername"}, {kLabelHelperHost, host}, {kLabelHelperOwner, owner}}}};
    fake_.states[id_of(id)] = "running";
  };
  add('a', "living gateway");
  foreign("db", id_of('a'), '1');
  foreign("web", id_of('9'), '2');
  foreign("mail", "host:1:0", '3');
  Helpers helpers(loop_, engine_, options());
  helpers.want({"db", "web"});
  ASSERT_TRUE(until([&] { return !fake_.created.contains(id_of('2')) && !fake_.created.contains(id_of('3')) && running() == 2; }));
  EXPECT_TRUE(fake_.created.contains(id_of('1')));
  bool stopped = false;
  helpers.stop([&] { stopped = true; });
  ASSERT_TRUE(until([&] { return stopped; }));
  EXPECT_EQ(fake_.created.size(), 1u);
}

TEST_F(WithHelpers, StopWithoutAnEngineEnds) {
  Helpers helpers(loop_, engine_, options());
  fake_.shut();
  helpers.want({"db"});
  bool stopped = false;
  helpers.stop([&] { stopped = true; });
  EXPECT_TRUE(until([&] { return stopped; }));
}

}  // namespace
}  // namespace hg::docker
