// 1. this process serves a small web page and an echo service on loopback ports of their own
// 2. three DHT nodes (`hypergate dht`) make a private network; the first one's log tells its port
// 3. a provider and a gateway join it with a fresh router secret, passed in the environment
// 4. once the gate is open the page is read through the tunnel, and the address printed
// 5. what connects and flows is printed until Ctrl-C; the children end first, then we do
#include "app/demo.h"

#include <boost/json.hpp>
#include <csignal>
#include <cstdio>
#include <list>
#include <set>
#include <vector>

#include "app/child_process.h"
#include "app/demo_services.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "http/fetch.h"
#include "tunnel/hello.h"

namespace hg::app {

namespace {

constexpr size_t kDhtNodes = 3;
constexpr Duration kStopLimit = 15s;
constexpr Duration kReapInterval = 20ms;

struct LogLine {
  std::string component;
  std::string message;
};

LogLine parse_log(const std::string& line) {
  boost::system::error_code error;
  const auto value = boost::json::parse(line, error);
  const auto* object = error ? nullptr : value.if_object();
  if (object == nullptr || !object->contains("message")) return {"", line};
  return {boost::json::value_to<std::string>(object->at("component")), boost::json::value_to<std::string>(object->at("message"))};
}

class Demo {
 public:
  Demo() : loop_(crypto::system_rng()), services_(loop_), reap_(loop_.timers(), [this] { reap(); }) {}

  int run() {
    if (auto started = services_.start(); !started) {
      std::fprintf(stderr, "hypergate: %s\n", started.error().message.c_str());
      return 1;
    }
    services_.on_event([this](const std::string& what) { say("service", what); });
    secret_ = tunnel::format_router_secret(crypto::system_rng().array<32>());
    say("demo", fmt::format("web page on {} and echo on {}, both private", services_.web_address(), services_.echo_address()));
    loop_.on_signals({SIGINT, SIGTERM, SIGHUP}, [this](int) { stop(); });
    start_dht_node();
    loop_.run();
    return failed_ ? 1 : 0;
  }

 private:
  void say(const std::string& who, const std::string& what) {
    std::fputs(fmt::format("{:>9} │ {}\n", who, what).c_str(), stdout);
    if (std::fflush(stdout) != 0 && !stopping_) stop();  // nobody looks any more
  }

  ChildProcess& start(const std::string& name, std::vector<std::string> arguments, std::function<void(const LogLine&)> react) {
    arguments.insert(arguments.end(), {"--log", "json"});
    const std::vector<std::string> environment = {"HYPERGATE_ROUTER=" + secret_};
    return children_.emplace_back(loop_, arguments, environment, [this, name, react = std::move(react)](const std::string& line) {
      const LogLine log = parse_log(line);
      say(name, log.message);
      react(log);
    });
  }

  void start_dht_node() {
    const size_t number = ++dht_started_;
    std::vector<std::string> arguments = {"dht", "--host", "127.0.0.1", "--port", "0"};
    if (!bootstrap_.empty()) arguments.insert(arguments.end(), {"--bootstrap", bootstrap_});
    start(fmt::format("dht {}", number), arguments, [this, number](const LogLine& log) {
      constexpr std::string_view kListening = "listening on ";
      if (number == 1 && log.message.starts_with(kListening)) bootstrap_ = log.message.substr(kListening.size());
      if (!log.message.starts_with("ready")) return;
      if (dht_started_ < kDhtNodes)
        start_dht_node();
      else if (number == kDhtNodes)
        start_members();
    });
  }

  void start_members() {
    const std::vector<uint16_t> gates = services_.free_ports(2);
    if (gates.size() < 2) {
      say("demo", "no free port for the gates");
      failed_ = true;
      return stop();
    }
    web_gate_ = fmt::format("127.0.0.1:{}", gates[0]);
    const std::string services = fmt::format(
        R"([{{"gatePort":{},"serviceHost":"127.0.0.1","servicePort":{},"protocol":"tcp"}},{{"gatePort":{},"serviceHost":"127.0.0.1","servicePort":{},"protocol":"tcp"}}])",
        gates[0], services_.web_port(), gates[1], services_.echo_port());
    start("provider", {"provider", services, "--bootstrap", bootstrap_, "--statsIntervalMs", "1000"}, [](const LogLine&) {});
    start("gateway", {"gateway", "--bootstrap", bootstrap_, "--statsIntervalMs", "1000"}, [this, echo = gates[1]](const LogLine& log) {
      if (log.component != "gate") return;
      const bool web = log.message.find(web_gate_ + " open") != std::string::npos;
      if (web) read_page();
      if (log.message.find(fmt::format(":{} open", echo)) != std::string::npos)
        say("demo", fmt::format("echo through the tunnel: nc 127.0.0.1 {}", echo));
    });
  }

  // The gate's first client is ourselves.
  void read_page() {
    auto page = std::make_shared<Expected<std::string>>(Error{});
    const std::string url = "http://" + web_gate_ + "/";
    loop_.run_blocking(
        [page, url] { *page = http::fetch_url(url); },
        [this, page, url] {
          failed_ = !page->ok();
          if (failed_)
            say("demo", page->error().message);
          else
            say("demo", fmt::format("read {} bytes through the tunnel: open {} in a browser; Ctrl-C ends the demo", (*page)->size(), url));
        });
  }

  void stop() {
    if (stopping_) return loop_.stop();
    stopping_ = true;
    stop_deadline_ = loop_.now() + kStopLimit;
    // Members first, while the network still stands to be told.
    for (auto child = children_.rbegin(); child != children_.rend(); ++child) child->terminate();
    reap();
  }
  void reap() {
    bool all = true;
    for (ChildProcess& child : children_) all = child.ended() && all;
    if (all || loop_.now() > stop_deadline_) {
      say("demo", "all processes ended");
      return loop_.stop();
    }
    reap_.arm(loop_.now() + kReapInterval);
  }

  io::Loop loop_;
  DemoServices services_;
  std::string secret_;
  std::string bootstrap_;
  std::string web_gate_;
  size_t dht_started_ = 0;
  std::list<ChildProcess> children_;
  bool stopping_ = false;
  bool failed_ = false;
  TimePoint stop_deadline_{};
  Timer reap_;
};

}  // namespace

int run_demo(const Config&) { return Demo().run(); }

}  // namespace hg::app
