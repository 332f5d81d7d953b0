#include "tunnel/provider.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/log.h"
#include "tunnel/ingress_policy.h"

namespace hg::tunnel {

namespace {
constexpr std::string_view kLog = "provider";
constexpr Features kFeatures{.flow = true, .big_datagrams = true, .unordered_datagrams = true, .move = true};
}  // namespace

Provider::Provider(const Context& context, ServiceConnector& connector) : context_(context), connector_(connector) { encode(); }

void Provider::encode() {
  std::vector<Service> services = services_;
  if (!ingress_policy_.empty()) {
    for (Service& service : services) {
      // Twice its own: once for the place of its rules, before the common ones, once for what they say.
      const std::string own = service.ingress_policy.empty() ? "{}" : service.ingress_policy;
      const auto merged = merge_ingress_policies(std::array{own, ingress_policy_, own});
      if (merged) service.ingress_policy = *merged;
    }
  }
  advertisement_ = encode_advertisement(services, kFeatures);
  if (advertisement_.size() + kMessageHeaderBytes > kMaxMessage)
    HG_LOG(kError, kLog,
           "{} services with their ingress policies make a message of {} bytes, more than peers take: gateways hear of none of them",
           services.size(), advertisement_.size());
}

void Provider::set_ingress_policy(std::string policy) {
  if (stopping_ || policy == ingress_policy_) return;
  ingress_policy_ = std::move(policy);
  encode();
  broadcast();
}

void Provider::set_services(std::vector<Service> services) {
  if (stopping_ || services == services_) return;
  services_ = std::move(services);
  encode();
  HG_LOG(kInfo, kLog, "{} services offered", services_.size());
  broadcast();
}

void Provider::add_session(Session& session) {
  sessions_.insert(&session);
  session.send_routes(advertisement_);
}

void Provider::broadcast() {
  for (Session* session : sessions_) session->send_routes(advertisement_);
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
  connector_.connect({*service, session.remote_key(), std::string(fingerprint)}, std::move(channel));
}

void Provider::stop() {
  if (stopping_) return;
  stopping_ = true;
  services_.clear();
  encode();
  broadcast();
}

}  // namespace hg::tunnel
