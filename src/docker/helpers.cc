#include "docker/helpers.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/log.h"
#include "docker/discovery.h"
#include "docker/self.h"

namespace hg::docker {

namespace {

constexpr std::string_view kLog = "docker";
constexpr Duration kGather = 10ms;
constexpr Duration kFirstBackOff = 500ms;
constexpr Duration kLongestBackOff = 30s;
constexpr Duration kLivedWell = 10s;   // one that ran this long is started again at once
constexpr Duration kStartLimit = 60s;  // creating copies the image with some storage drivers
constexpr int kStopSeconds = 2;        // for a helper to say goodbye to its peers
constexpr int kConflict = 409;

std::string label(const ListedContainer& container, const char* name) {
  const auto found = container.labels.find(name);
  return found == container.labels.end() ? std::string() : found->second;
}

/// `network`: a name, an id or the beginning of one.
bool is_on(const ListedContainer& container, const std::string& network) {
  return !container.networks || std::any_of(container.networks->begin(), container.networks->end(),
                                            [&](const auto& entry) { return entry.first == network || entry.second.starts_with(network); });
}

Request removal(const std::string& id) {
  return {.method = "DELETE", .target = "/containers/" + id + "?force=1&v=1", .timeout = kStartLimit};
}

}  // namespace

struct Helpers::Pass {
  size_t pending = 1;            // the pass itself
  std::set<std::string> served;  // hosts with a helper that runs
  bool listed = false;
  bool creating = false;
};

Helpers::Helpers(io::Loop& loop, Engine& engine, HelperOptions options)
    : loop_(loop),
      engine_(engine),
      options_(std::move(options)),
      timer_(loop.timers(), [this] { pass(); }),
      stop_limit_(loop.timers(), [this] { give_up_stop(); }) {}

Helpers::~Helpers() { *alive_ = false; }

void Helpers::want(const std::set<std::string>& hosts) {
  std::set<std::string> next;
  for (const std::string& host : hosts)
    if (helper_possible(host) && next.size() < kMaxHelpers) next.insert(host);
  if (next == wanted_) return;
  wanted_ = std::move(next);
  check();
}

void Helpers::set_filter(std::vector<tunnel::GateMatch> filter) {
  options_.common.filter = std::move(filter);
  check();
}

void Helpers::check() {
  if (busy_)
    again_ = true;
  else
    timer_.arm(loop_.now() + kGather);
}

void Helpers::on_event(const Event& event) {
  const auto router = event.attributes.find(kLabelHelper);
  const bool ended = event.action == "die" || event.action == "destroy";
  if (event.type == "container" && ended && router != event.attributes.end() && router->second == options_.common.router) check();
}

void Helpers::ask(Request request, Engine::Callback then) {
  engine_.request(std::move(request), [alive = std::weak_ptr<bool>(alive_), then = std::move(then)](Expected<Answer> answer) {
    if (alive.lock()) then(std::move(answer));
  });
}

void Helpers::pass() {
  if (busy_) {
    again_ = true;
    return;
  }
  busy_ = true;
  again_ = false;
  auto pass = std::make_shared<Pass>();
  ask({.target = "/containers/json?all=1"}, [this, pass](Expected<Answer> answer) {
    if (answer && answer->ok())
      if (const auto list = parse_container_list(answer->body)) sort_out(pass, *list);
    // Else the engine is away: the watcher says so, and calls check() when it is back.
    release(pass);
  });
}

bool Helpers::owner_alive(const std::string& owner, const std::set<std::string>& running) const {
  if (owner.starts_with("host:")) {
    // Only a process of the host can tell whether another one lives.
    return !options_.common.owner.starts_with("host:") || host_process_alive(owner);
  }
  return running.contains(owner);
}

void Helpers::sort_out(std::shared_ptr<Pass> pass, const std::vector<ListedContainer>& list) {
  std::set<std::string> all;
  std::set<std::string> running;
  for (const ListedContainer& container : list) {
    all.insert(container.id);
    if (container.state == "running") running.insert(container.id);
  }
  std::erase_if(told_, [&](const auto& entry) { return !all.contains(entry.first); });
  pass->listed = true;
  pass->creating = !stopping_;
  std::set<std::string> elsewhere;
  for (const ListedContainer& container : list) {
    if (label(container, kLabelHelper) != options_.common.router || retiring_.contains(container.id)) continue;
    const std::string host = label(container, kLabelHelperHost);
    const std::string owner = label(container, kLabelHelperOwner);
    const bool runs = container.state == "running";
    if (owner == options_.common.owner) {
      if (!runs)
        remove_dead(pass, container.id);
      else if (stopping_ || !wanted_.contains(host))
        retire(container.id, container.name);
      else if (!is_on(container, options_.common.network)) {
        HG_LOG(kInfo, kLog, "helper {}: no longer on network {}, made again", container.name, options_.common.network);
        remove_dead(pass, container.id);
      } else {
        pass->served.insert(host);
        tell_filter(pass, host, container.id);
      }
    } else if (!owner_alive(owner, running)) {
      HG_LOG(kInfo, kLog, "helper {}: left behind by an earlier gateway, removed", container.name);
      remove_dead(pass, container.id);
    } else if (wanted_.contains(host)) {
      pass->served.insert(host);
      elsewhere.insert(host);
      if (!elsewhere_.contains(host)) HG_LOG(kInfo, kLog, "helper {}: runs already, for another gateway", container.name);
    }
  }
  elsewhere_ = std::move(elsewhere);
  settle_trouble(pass->served);
}

/// A host that is not wanted, or has a helper, waits for no retry.
void Helpers::settle_trouble(const std::set<std::string>& served) {
  std::erase_if(trouble_, [&](const auto& entry) { return !wanted_.contains(entry.first) || elsewhere_.contains(entry.first); });
  for (auto& [host, trouble] : trouble_)
    if (served.contains(host)) trouble.retry_at = {};
}

void Helpers::remove_dead(std::shared_ptr<Pass> pass, const std::string& id) {
  ++pass->pending;
  ask(removal(id), [this, pass](const Expected<Answer>&) { release(pass); });
}

// Stopping takes its time, for all of them at once, and nobody waits for it but stop().
void Helpers::retire(const std::string& id, const std::string& name) {
  retiring_.insert(id);
  HG_LOG(kInfo, kLog, "helper {}: no longer needed, removed", name);
  Request stop{.method = "POST", .target = fmt::format("/containers/{}/stop?t={}", id, kStopSeconds), .waits = true};
  ask(std::move(stop), [this, id](const Expected<Answer>&) {
    ask(removal(id), [this, id](const Expected<Answer>&) {
      retiring_.erase(id);
      if (stopping_)
        finish_stop();
      else
        check();
    });
  });
}

// Counts down; after the removals come the creations, after those the pass is over.
void Helpers::release(std::shared_ptr<Pass> pass) {
  if (--pass->pending > 0) return;
  if (pass->creating && !stopping_) {
    pass->creating = false;
    return create_missing(pass);
  }
  busy_ = false;
  if (again_)
    timer_.arm(loop_.now() + kGather);
  else if (stopping_ && pass->listed)
    finish_stop();
  else if (stopping_ && retiring_.empty())
    give_up_stop();
  else if (pass->listed && !stopping_)
    arm_retry();
}

void Helpers::create_missing(std::shared_ptr<Pass> pass) {
  pass->pending = 1;
  for (const std::string& host : wanted_) {
    if (pass->served.contains(host)) continue;
    Trouble& trouble = trouble_[host];
    // It was there and is gone: at once if it had lived well, else with a growing pause.
    if (trouble.started_at != TimePoint{}) {
      const bool lived_well = loop_.now() - trouble.started_at > kLivedWell;
      trouble.back_off = lived_well ? Duration{} : std::clamp(trouble.back_off * 2, kFirstBackOff, kLongestBackOff);
      trouble.retry_at = trouble.started_at + trouble.back_off;
      trouble.started_at = {};
    }
    if (trouble.retry_at > loop_.now()) continue;
    ++pass->pending;
    create(pass, host);
  }
  release(pass);
}

void Helpers::create(std::shared_ptr<Pass> pass, const std::string& host) {
  HelperSpec spec = options_.common;
  spec.host = host;
  const std::string name = helper_name(host, spec.router);
  ask({.method = "POST",
       .target = "/containers/create?name=" + percent_encode(name),
       .body = helper_settings(spec),
       .timeout = kStartLimit},
      [this, pass, host](Expected<Answer> answer) {
        if (!answer) return failed(pass, host, answer.error().message);
        if (answer->status == kConflict) return failed(pass, host, "its name is still taken");
        if (!answer->ok()) return failed(pass, host, answer->fault());
        boost::system::error_code code;
        const boost::json::value created = boost::json::parse(answer->body, code);
        const auto* id = !code && created.is_object() ? created.get_object().if_contains("Id") : nullptr;
        if (id == nullptr || !id->is_string()) return failed(pass, host, "the engine names no id");
        put_files(host, std::string(id->get_string()), [this, pass, host, id = std::string(id->get_string())](const std::string& fault) {
          if (!fault.empty()) return failed(pass, host, fault, id);
          start(pass, host, id);
        });
      });
}

/// `then` gets what went wrong, or nothing.
void Helpers::put_files(const std::string& host, const std::string& id, std::function<void(std::string fault)> then) {
  std::string filter = helper_filter(options_.common.filter, host);
  ask({.method = "PUT",
       .target = "/containers/" + id + "/archive?path=%2F",
       .body = helper_archive(options_.secret, filter),
       .content_type = "application/x-tar"},
      [this, id, filter, then = std::move(then)](Expected<Answer> answer) {
        const std::string fault = !answer ? answer.error().message : !answer->ok() ? answer->fault() : std::string();
        if (fault.empty()) told_[id] = filter;
        then(fault);
      });
}

// One that the filter no longer concerns is about to go, and keeps the one it has.
void Helpers::tell_filter(std::shared_ptr<Pass> pass, const std::string& host, const std::string& id) {
  const auto& filter = options_.common.filter;
  const auto told = told_.find(id);
  if (!filter_concerns(filter, host) || (told != told_.end() && told->second == helper_filter(filter, host))) return;
  ++pass->pending;
  put_files(host, id, [this, pass, host](const std::string& fault) {
    std::string& said = trouble_[host].said;
    if (!fault.empty() && fault != said)
      HG_LOG(kWarn, kLog, "helper {}: the changed filter did not reach it: {}; trying again", helper_name(host, options_.common.router),
             fault);
    said = fault;
    release(pass);
  });
}

void Helpers::start(std::shared_ptr<Pass> pass, const std::string& host, const std::string& id) {
  ask({.method = "POST", .target = "/containers/" + id + "/start", .timeout = kStartLimit},
      [this, pass, host, id](Expected<Answer> answer) {
        if (!answer) return failed(pass, host, answer.error().message, id);
        if (!answer->ok()) return failed(pass, host, answer->fault(), id);
        HG_LOG(kInfo, kLog, "helper {} started", helper_name(host, options_.common.router));
        Trouble& trouble = trouble_[host];
        trouble.started_at = loop_.now();
        trouble.said.clear();
        if (!wanted_.contains(host)) again_ = true;
        release(pass);
      });
}

void Helpers::failed(std::shared_ptr<Pass> pass, const std::string& host, const std::string& what, const std::string& id) {
  Trouble& trouble = trouble_[host];
  trouble.back_off = std::clamp(trouble.back_off * 2, kFirstBackOff, kLongestBackOff);
  trouble.retry_at = loop_.now() + trouble.back_off;
  if (trouble.said != what) HG_LOG(kWarn, kLog, "helper {}: {}; trying again", helper_name(host, options_.common.router), what);
  trouble.said = what;
  if (!id.empty()) remove_dead(pass, id);
  release(pass);
}

void Helpers::arm_retry() {
  TimePoint next = TimePoint::max();
  for (const auto& [host, trouble] : trouble_)
    if (trouble.started_at == TimePoint{} && trouble.retry_at > TimePoint{}) next = std::min(next, trouble.retry_at);
  if (next != TimePoint::max()) timer_.arm(std::max(next, loop_.now() + kGather));
}

void Helpers::stop(std::function<void()> done) {
  stopping_ = true;
  stopped_ = std::move(done);
  stop_limit_.arm(loop_.now() + options_.stop_limit);
  check();
}

void Helpers::finish_stop() {
  if (!busy_ && !timer_.armed() && retiring_.empty()) end_stop();  // armed: a pass is due
}

void Helpers::give_up_stop() {
  if (stopped_ && (!wanted_.empty() || !retiring_.empty()))
    HG_LOG(kWarn, kLog, "the Docker Engine did not say that all helpers are gone; remove what is left with: {}",
           fmt::format("docker ps -aq --filter label={}={} | xargs -r docker rm -f", kLabelHelperOwner, options_.common.owner));
  end_stop();
}

void Helpers::end_stop() {
  stop_limit_.disarm();
  if (const auto done = std::exchange(stopped_, nullptr)) done();
}

}  // namespace hg::docker
