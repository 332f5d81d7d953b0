#include "app/docker_mode.h"

#include <algorithm>

#include "app/helper_environment.h"
#include "base/log.h"
#include "docker/helper_spec.h"
#include "docker/self.h"
#include "tunnel/hello.h"

namespace hg::app {

namespace {

constexpr std::string_view kLog = "docker";
constexpr size_t kShortDigits = 12;
constexpr Duration kGather = 20ms;
constexpr const char* kDefaultImage = "hypergate";

docker::DiscoveryRules rules_for(const std::string& network, const docker::Watcher* watcher, const std::string& router_name,
                                 const std::string& secret) {
  docker::DiscoveryRules rules;
  rules.network = network;
  if (watcher->self()) rules.own_id = watcher->self()->id;
  rules.excluded_names = {router_name, secret};  // the TypeScript program names its helpers so
  return rules;
}

docker::Discovery::Key key_of(const tunnel::Service& service) { return {service.service_host, service.gate_port, service.protocol}; }

/// A file's entry for a container's service stays as the file has it, policy and all, and gets what discovery adds: tags.
void merge(std::vector<tunnel::Service>& services, const tunnel::Service& found) {
  const auto twin = std::find_if(services.begin(), services.end(), [&](const auto& service) { return key_of(service) == key_of(found); });
  if (twin == services.end()) {
    services.push_back(found);
  } else {
    twin->tags += (twin->tags.empty() ? "" : " ") + found.tags;
  }
}

}  // namespace

DockerMode::DockerMode(io::Loop& loop, const Config& config, const PublicKey& router_name, std::vector<tunnel::Service> files,
                       tunnel::GateFilter filter, tunnel::ServiceConnector* links)
    : loop_(loop),
      config_(config),
      router_name_(to_hex(router_name)),
      short_router_(router_name_.substr(0, kShortDigits)),
      network_(config.docker->network.empty() ? "hypergate-" + short_router_ : config.docker->network),
      files_(std::move(files)),
      filter_(std::move(filter)),
      links_(links),
      engine_(loop, config.docker->socket),
      routes_timer_(loop.timers(), [this] { follow_routes(); }) {}

DockerMode::~DockerMode() = default;

void DockerMode::start(tunnel::Node& node) {
  node_ = &node;
  docker::WatchOptions options;
  options.network = network_;
  options.attach_self = links_ != nullptr;
  options.own_id = docker::own_container_id();
  options.refresh = config_.docker->refresh;
  docker::Watcher::Callbacks callbacks;
  callbacks.on_containers = [this](const std::vector<docker::Container>& containers) { containers_changed(containers); };
  callbacks.on_event = [this](const docker::Event& event) {
    if (helpers_) helpers_->on_event(event);
  };
  callbacks.on_look_up = [this] { looked_up(); };
  watcher_ = std::make_unique<docker::Watcher>(loop_, engine_, std::move(options), std::move(callbacks));
  watcher_->start();
  offer();
}

void DockerMode::set_files(std::vector<tunnel::Service> files) {
  files_ = std::move(files);
  offer();
}

// Routes that only the new filter lets pass come with what providers say next; who has such a route then keeps its helper until that.
void DockerMode::set_filter(tunnel::GateFilter filter) {
  filter_ = std::move(filter);
  if (helpers_) helpers_->set_filter(filter_.any_of);
  const TimePoint now = loop_.now();
  for (auto& [host, until] : linger_until_)
    until = docker::filter_concerns(filter_.any_of, host) ? now + config_.limits.peer_refresh + kLinger : now;
  routes_changed();
}

// -------------------------------------------------------------------------------------------------------------- provider

void DockerMode::containers_changed(const std::vector<docker::Container>& containers) {
  const std::string secret = tunnel::format_router_secret(*config_.router);
  docker::Discovery found = docker::discover(containers, rules_for(network_, watcher_.get(), router_name_, secret));
  for (const std::string& fault : found.faults)
    if (!faults_said_.contains(fault)) HG_LOG(kWarn, kLog, "{}", fault);
  faults_said_ = {found.faults.begin(), found.faults.end()};
  local_.set(found.local_hosts, loop_.now());
  const bool services_changed = found.services != found_.services;
  found_ = std::move(found);
  turns_.clear();
  if (services_changed) offer();
  routes_changed();
}

void DockerMode::offer() {
  if (links_ == nullptr || node_ == nullptr || stopping_) return;
  std::vector<tunnel::Service> services = files_;
  for (const tunnel::Service& service : found_.services) merge(services, service);
  if (services.size() > tunnel::kMaxServices) services.resize(tunnel::kMaxServices);
  node_->provider()->set_services(std::move(services));
}

void DockerMode::connect(tunnel::ServiceRequest request, std::unique_ptr<tunnel::Channel> channel) {
  const tunnel::Service& service = request.service;
  const docker::Discovery::Key key = key_of(service);
  const bool from_file = std::any_of(files_.begin(), files_.end(), [&](const auto& file) { return key_of(file) == key; });
  if (const auto known = found_.addresses.find(key); known != found_.addresses.end() && !from_file && !known->second.empty())
    request.service.service_host = known->second[turns_[key]++ % known->second.size()];
  links_->connect(std::move(request), std::move(channel));
}

// --------------------------------------------------------------------------------------------------------------- gateway

void DockerMode::looked_up() {
  if (!config_.gateway || stopping_) return;
  if (!helpers_) make_helpers();
  helpers_->check();
  routes_changed();
}

void DockerMode::make_helpers() {
  docker::HelperOptions options;
  docker::HelperSpec& spec = options.common;
  const auto& self = watcher_->self();
  spec.router = short_router_;
  spec.network = network_;
  spec.image = !config_.docker->image.empty() ? config_.docker->image : self ? self->image_id : kDefaultImage;
  spec.owner = self ? self->id : docker::host_process_tag();
  spec.filter = filter_.any_of;
  spec.environment = helper_environment(config_, filter_);
  options.secret = tunnel::format_router_secret(*config_.router) + "\n";
  helpers_ = std::make_unique<docker::Helpers>(loop_, engine_, std::move(options));
}

void DockerMode::routes_changed() {
  if (config_.gateway && !routes_timer_.armed()) routes_timer_.arm(loop_.now() + kGather);
}

void DockerMode::follow_routes() {
  if (!helpers_ || stopping_) return;
  const TimePoint now = loop_.now();
  TimePoint look_again = local_.next_settled(now);
  const std::set<std::string> routed = offered_.of(node_->peers());
  for (const std::string& host : routed) linger_until_[host] = TimePoint::max();
  std::set<std::string> wanted;
  for (auto entry = linger_until_.begin(); entry != linger_until_.end();) {
    auto& [host, until] = *entry;
    if (!routed.contains(host) && until == TimePoint::max()) until = now + kLinger;
    if (until <= now) {
      entry = linger_until_.erase(entry);
      continue;
    }
    if (until != TimePoint::max()) look_again = std::min(look_again, until);
    if (!local_.contains(host, now)) wanted.insert(host);
    ++entry;
  }
  helpers_->want(wanted);
  if (look_again != TimePoint::max()) routes_timer_.arm(look_again);
}

void DockerMode::stop(std::function<void()> done) {
  stopping_ = true;
  if (!helpers_) return loop_.post(std::move(done));
  helpers_->stop(std::move(done));
}

}  // namespace hg::app
