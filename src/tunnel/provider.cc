#include "tunnel/provider.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace hg::tunnel {

namespace {
constexpr std::string_view kLog = "provider";
constexpr Features kFeatures{.flow = true, .big_datagrams = true};
}  // namespace

Provider::Provider(const Context& context, ServiceConnector& connector) : context_(context), connector_(connector) { encode(); }

void Provider::encode() { advertisement_ = encode_advertisement(services_, kFeatures); }

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
  const auto service = std::find_if(services_.begin(), services_.end(), [&](const Service& candidate) {
    return candidate.gate_port == request.gate_port && candidate.protocol == request.protocol;
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
