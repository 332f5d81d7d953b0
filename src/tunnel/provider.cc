#include "tunnel/provider.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "base/log.h"

namespace hg::tunnel {

namespace {
constexpr std::string_view kLog = "provider";
constexpr size_t kRefreshBytesPerMs = 64;  // to each peer, for repeating what it knows

/// To a gateway, what has the same gate and host is one service.
void drop_twins(std::vector<Service>& services, const Context& context) {
  std::set<std::tuple<uint16_t, Protocol, std::string>> seen;
  std::erase_if(services, [&](const Service& service) {
    if (seen.emplace(service.gate_port, service.protocol, service.service_host).second) return false;
    const std::string line = fmt::format("gate {}/{}: {} is there twice, the first entry counts", service.gate_port,
                                         protocol_name(service.protocol), service.service_host);
    if (context.notices.due(line, context.runtime.now())) HG_LOG(kWarn, kLog, "{}", line);
    return true;
  });
}

std::string describe(const Service& service) {
  return fmt::format("{} gate {} for {}:{}", protocol_name(service.protocol), service.gate_port, service.service_host,
                     service.service_port);
}

std::map<std::string, const Service*> by_description(const std::vector<Service>& services) {
  std::map<std::string, const Service*> map;
  for (const Service& service : services) map.emplace(describe(service), &service);
  return map;
}

void tell_of_changes(const std::vector<Service>& before, const std::vector<Service>& after) {
  const auto old = by_description(before);
  const auto now = by_description(after);
  std::vector<std::string> changes;
  for (const auto& [line, service] : old)
    if (!now.contains(line)) changes.push_back("no more: " + line);
  for (const auto& [line, service] : now) {
    const auto known = old.find(line);
    if (known == old.end())
      changes.push_back(line + " offered");
    else if (*known->second != *service)
      changes.push_back(line + " changed");
  }
  log::emit_each(log::Level::kInfo, kLog, changes);
  HG_LOG(kInfo, kLog, "services offered: {}", after.size());
}

}  // namespace

Provider::Provider(const Context& context, ServiceConnector& connector) : context_(context), connector_(connector) { encode(); }

void Provider::encode() { advertisement_ = fit_advertisement(services_, ingress_policy_, kProviderFeatures, relay_); }

void Provider::tell_of_left_out() {
  if (advertisement_.left_out == 0) return;
  HG_LOG(kError, kLog, "{} of {} services are not announced: with their ingress policies the message would exceed {} MiB",
         advertisement_.left_out, services_.size(), kMaxMessage >> 20);
}

bool Provider::set_ingress_policy(std::string policy) {
  if (stopping_ || policy == ingress_policy_) return true;
  FittedAdvertisement fitted = fit_advertisement(services_, policy, kProviderFeatures, relay_);
  if (fitted.left_out > advertisement_.left_out) return false;
  ingress_policy_ = std::move(policy);
  advertisement_ = std::move(fitted);
  broadcast();
  return true;
}

void Provider::set_services(std::vector<Service> services) {
  drop_twins(services, context_);
  if (stopping_ || services == services_) return;
  tell_of_changes(services_, services);
  services_ = std::move(services);
  std::set<HealthKey> offered;
  for (const Service& service : services_) offered.insert(key_of(service));
  std::erase_if(health_, [&](const auto& entry) { return !offered.contains(entry.first); });
  encode();
  tell_of_left_out();
  broadcast();
}

Provider::HealthKey Provider::key_of(const Service& service) {
  return {service.gate_port, service.protocol, service.service_host, service.service_port};
}

ServiceHealth Provider::health(const Service& service) const {
  const auto known = health_.find(key_of(service));
  return known == health_.end() ? ServiceHealth() : *known->second;
}

void Provider::set_relay(const std::optional<PublicKey>& relay) {
  if (stopping_ || relay == relay_) return;
  relay_ = relay;
  encode();
  broadcast();
}

void Provider::add_session(Session& session) {
  sessions_.insert(&session);
  session.send_routes(advertisement_.body);
}

void Provider::broadcast() {
  advertised_ = context_.runtime.now();
  for (Session* session : sessions_) session->send_routes(advertisement_.body);
}

void Provider::tick() {
  const Duration by_size = std::chrono::milliseconds(advertisement_.body.size() / kRefreshBytesPerMs);
  const Duration least = std::min<Duration>(by_size, context_.limits.route_expiration / 4);
  if (context_.runtime.now() - advertised_ >= least) broadcast();
}

void Provider::handle_open(Session& session, std::unique_ptr<Channel> channel, const OpenBody& request) {
  if (stopping_) {
    ++context_.counters.refused_stopping;
    return channel->refuse("The provider is stopping");
  }
  const std::string host = parse_terms(request.json).host;
  const auto service = std::find_if(services_.begin(), services_.end(), [&](const Service& candidate) {
    return candidate.gate_port == request.gate_port && candidate.protocol == request.protocol &&
           (host.empty() || host == candidate.service_host);
  });
  if (service == services_.end()) {
    ++context_.counters.refused_no_service;
    return channel->refuse(fmt::format("Service not found {}", request.gate_port));
  }
  const std::string_view fingerprint = request.json.size() <= kMaxFingerprintBytes ? request.json : std::string_view();
  auto& health = health_[key_of(*service)];
  if (health == nullptr) health = std::make_shared<ServiceHealth>();
  channel->count_in(health->traffic);
  connector_.connect({*service, session.remote_key(), std::string(fingerprint), health}, std::move(channel));
}

void Provider::stop() {
  if (stopping_) return;
  stopping_ = true;
  services_.clear();
  health_.clear();
  relay_.reset();
  encode();
  broadcast();
}

}  // namespace hg::tunnel
