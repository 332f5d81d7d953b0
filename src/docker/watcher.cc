#include "docker/watcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "base/log.h"
#include "docker/network.h"

namespace hg::docker {

namespace {

constexpr std::string_view kLog = "docker";
constexpr Duration kGather = 20ms;  // events of one container come in twos and threes
constexpr Duration kFirstBackOff = 200ms;
constexpr Duration kLongestBackOff = 5s;
constexpr int kNotFound = 404;
constexpr int kConflict = 409;

bool changes_the_picture(const Event& event) {
  static const std::set<std::string> container = {"start",  "die",     "stop",  "kill",    "destroy",
                                                  "rename", "restart", "pause", "unpause", "update"};
  static const std::set<std::string> network = {"connect", "disconnect", "create", "destroy"};
  return event.type == "container" ? container.contains(event.action) : event.type == "network" && network.contains(event.action);
}

}  // namespace

struct Watcher::LookUp {
  std::vector<std::string> ids;
  std::set<std::string> named;  // by the events that led to it
  size_t pending = 0;
};

Watcher::Watcher(io::Loop& loop, Engine& engine, WatchOptions options, Callbacks callbacks)
    : loop_(loop),
      engine_(engine),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      back_off_(kFirstBackOff),
      reconnect_timer_(loop.timers(), [this] { connect(); }),
      gather_timer_(loop.timers(), [this] { look_up(); }),
      refresh_timer_(loop.timers(), [this] {
        everything_ = true;
        look_up();
      }) {}

Watcher::~Watcher() { *alive_ = false; }

void Watcher::start() { connect(); }

void Watcher::say_once(std::string& last, const std::string& line) {
  if (line != last) HG_LOG(kWarn, kLog, "{}", line);
  last = line;
}

// --------------------------------------------------------------------------------------------------------------- events

void Watcher::connect() {
  events_ = engine_.follow_events({.on_open =
                                       [this] {
                                         connected_ = true;
                                         everything_ = true;
                                         look_up();
                                       },
                                   .on_event = [this](const Event& e) { event(e); },
                                   .on_close = [this](const Error& error) { lost(error); }});
}

void Watcher::lost(const Error& error) {
  connected_ = false;
  run_.reset();
  again_ = false;
  gather_timer_.disarm();
  refresh_timer_.disarm();
  say_once(engine_fault_, error.message + "; trying again");
  // Called from inside the stream that is to go.
  loop_.post([this, alive = std::weak_ptr<bool>(alive_)] {
    if (const auto here = alive.lock(); here && !connected_ && !reconnect_timer_.armed()) {
      events_.reset();
      reconnect_timer_.arm(loop_.now() + back_off_);
      back_off_ = std::min(back_off_ * 2, kLongestBackOff);
    }
  });
}

void Watcher::event(const Event& event) {
  if (!changes_the_picture(event)) return;
  HG_LOG(kDebug, kLog, "event {} {} {}", event.type, event.action, event.container.substr(0, 12));
  if (!event.container.empty() && stale_.size() < kMaxContainers) stale_.insert(event.container);
  if (stale_.size() >= kMaxContainers) everything_ = true;
  if (callbacks_.on_event) callbacks_.on_event(event);
  if (!gather_timer_.armed()) gather_timer_.arm(loop_.now() + kGather);
}

// -------------------------------------------------------------------------------------------------------------- look-up

void Watcher::look_up() {
  if (!connected_) return;
  if (run_) {
    again_ = true;
    return;
  }
  run_ = std::make_shared<LookUp>();
  again_ = false;
  if (everything_) known_.clear();
  if (everything_ || (options_.own_id && stale_.contains(*options_.own_id))) self_known_ = false;
  everything_ = false;
  for (const std::string& id : stale_) known_.erase(id);
  run_->named = std::exchange(stale_, {});
  find_self(run_);
}

void Watcher::ask(std::shared_ptr<LookUp> run, Request request, std::function<void(const Answer&)> then) {
  engine_.request(std::move(request),
                  [this, run = std::move(run), then = std::move(then), alive = std::weak_ptr<bool>(alive_)](Expected<Answer> answer) {
                    const auto here = alive.lock();
                    if (!here || run != run_) return;
                    if (!answer) return lost(answer.error());
                    then(*answer);
                  });
}

void Watcher::find_self(std::shared_ptr<LookUp> run) {
  if (self_known_ || !options_.own_id) return ensure_network(run);
  ask(run, {.target = "/containers/" + *options_.own_id + "/json"}, [this, run](const Answer& answer) {
    self_known_ = true;
    self_.reset();
    if (answer.ok())
      if (auto parsed = parse_container(answer.body)) self_ = std::move(*parsed);
    ensure_network(run);
  });
}

void Watcher::ensure_network(std::shared_ptr<LookUp> run) {
  ask(run, {.target = "/networks/" + percent_encode(options_.network)}, [this, run](const Answer& answer) {
    network_id_ = answer.ok() ? parse_network_id(answer.body) : std::string();
    if (answer.status == kNotFound) return create_network(run);
    if (!answer.ok())
      say_once(network_fault_, fmt::format("network {}: {}", options_.network, answer.fault()));
    else
      network_fault_.clear();
    attach_self(run);
  });
}

void Watcher::create_network(std::shared_ptr<LookUp> run) {
  const boost::json::object body = {{"Name", options_.network}, {"Driver", "bridge"}, {"CheckDuplicate", true}};
  ask(run, {.method = "POST", .target = "/networks/create", .body = boost::json::serialize(body)}, [this, run](const Answer& answer) {
    if (answer.ok()) {
      network_fault_.clear();
      HG_LOG(kInfo, kLog, "network {} created", options_.network);
      network_id_ = parse_network_id(answer.body);
      if (!network_id_.empty()) return settle_network(run, network_id_);
    } else if (answer.status != kConflict) {
      say_once(network_fault_,
               fmt::format("network {} does not exist and cannot be created: {}; waiting for it", options_.network, answer.fault()));
      return publish();
    }
    attach_self(run);
  });
}

/// A gateway and a provider that start together may both have made it: whoever made the younger one removes it.
void Watcher::settle_network(std::shared_ptr<LookUp> run, const std::string& made) {
  const boost::json::object filters = {{"name", boost::json::array{options_.network}}};
  ask(run, {.target = "/networks?filters=" + percent_encode(boost::json::serialize(filters))}, [this, run, made](const Answer& answer) {
    const auto ids = answer.ok() ? networks_named(answer.body, options_.network) : std::vector<std::string>();
    if (ids.size() < 2 || ids.front() == made) return attach_self(run);
    network_id_ = ids.front();
    ask(run, {.method = "DELETE", .target = "/networks/" + made}, [this, run](const Answer& removed) {
      HG_LOG(kInfo, kLog, "network {} was created by another one at the same time: {}", options_.network,
             removed.ok() ? "that one is used" : "there are two now: " + removed.fault());
      attach_self(run);
    });
  });
}

void Watcher::attach_self(std::shared_ptr<LookUp> run) {
  const bool needed = options_.attach_self && self_ && !self_->host_network && !self_->networks.contains(options_.network);
  if (!needed) return list(run);
  const boost::json::object body = {{"Container", self_->id}};
  const std::string network = network_id_.empty() ? percent_encode(options_.network) : network_id_;
  ask(run, {.method = "POST", .target = "/networks/" + network + "/connect", .body = boost::json::serialize(body)},
      [this, run](const Answer& answer) {
        if (answer.ok()) {
          HG_LOG(kInfo, kLog, "own container attached to network {}", options_.network);
          self_->networks[options_.network];
        } else {
          say_once(attach_fault_,
                   fmt::format("own container cannot be attached to network {}: {}; attach it with: docker network connect {} {}",
                               options_.network, answer.fault(), options_.network, self_->name));
        }
        list(run);
      });
}

void Watcher::list(std::shared_ptr<LookUp> run) {
  boost::json::object filters = {{"network", boost::json::array{options_.network}}, {"status", boost::json::array{"running"}}};
  ask(run, {.target = "/containers/json?filters=" + percent_encode(boost::json::serialize(filters))}, [this, run](const Answer& answer) {
    auto listed = answer.ok() ? parse_container_list(answer.body) : Expected<std::vector<ListedContainer>>(Error{"ENGINE", answer.fault()});
    if (!listed) return lost({"ENGINE", "Docker Engine: containers cannot be listed: " + listed.error().message});
    if (listed->size() > kMaxContainers) listed->resize(kMaxContainers);
    // The engine's list lags behind its events while it writes a container's state to disk; its answer about one container does not.
    for (const ListedContainer& entry : *listed) run->named.insert(entry.id);
    run->ids.assign(run->named.begin(), run->named.end());
    std::erase_if(known_, [&](const auto& entry) { return !std::binary_search(run->ids.begin(), run->ids.end(), entry.first); });
    for (const std::string& id : run->ids)
      if (!known_.contains(id)) inspect(run, id);
    if (run->pending == 0) publish();
  });
}

void Watcher::inspect(std::shared_ptr<LookUp> run, const std::string& id) {
  ++run->pending;
  ask(run, {.target = "/containers/" + id + "/json"}, [this, run, id](const Answer& answer) {
    if (answer.ok())  // else it went away meanwhile
      if (auto parsed = parse_container(answer.body)) known_[id] = std::move(*parsed);
    if (--run->pending == 0) publish();
  });
}

void Watcher::publish() {
  std::vector<Container> containers;
  for (const auto& [id, container] : known_)
    if (container.running && container.networks.contains(options_.network)) containers.push_back(container);
  if (!engine_fault_.empty() || !published_)
    HG_LOG(kInfo, kLog, "Docker Engine at {}: {} containers on network {}", engine_.socket_path(), containers.size(), options_.network);
  engine_fault_.clear();
  back_off_ = kFirstBackOff;
  const bool changed = published_ != containers;
  if (changed) published_ = containers;
  finished();
  if (changed) callbacks_.on_containers(containers);
  if (callbacks_.on_look_up) callbacks_.on_look_up();
}

void Watcher::finished() {
  run_.reset();
  refresh_timer_.arm(loop_.now() + options_.refresh);
  if (again_) gather_timer_.arm(loop_.now());
}

}  // namespace hg::docker
