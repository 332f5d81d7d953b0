// The provider role: advertises services and answers open requests.
//
//   open request ─▶ service by (gatePort, protocol) ─▶ ServiceConnector::connect() ─▶ Channel::accept() or refuse()
//
// Connects run beside everything else: one that never answers delays no other channel. Owned by Node. One thread.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <unordered_set>
#include <vector>

#include "tunnel/channel.h"
#include "tunnel/routes.h"
#include "tunnel/service.h"
#include "tunnel/session.h"

namespace hg::tunnel {

/// How connecting to a service went, and what its channels carried, for people. The connector keeps it up to date with a write for each
/// connection, the channels count for themselves.
struct ServiceHealth {
  uint64_t connected = 0;
  uint64_t refused = 0;
  TimePoint last_connected{};  // of UDP: a flow got its first answer
  TimePoint last_refused{};
  std::string why_refused;  // the last time
  std::shared_ptr<Traffic> traffic = std::make_shared<Traffic>();

  void note_connected(TimePoint now) {
    ++connected;
    last_connected = now;
  }
  void note_refused(TimePoint now, std::string why) {
    ++refused;
    last_refused = now;
    why_refused = std::move(why);
  }
};

struct ServiceRequest {
  Service service;
  PublicKey gateway{};
  std::string fingerprint;  // JSON as the gateway sent it, at most kMaxFingerprintBytes; may be empty or broken
  std::shared_ptr<ServiceHealth> health = std::make_shared<ServiceHealth>();  // of the service as it is offered
};

/// Makes the local connections; implemented by relay.
class ServiceConnector {
 public:
  virtual ~ServiceConnector() = default;
  /// Takes the channel: connects to the service, then accepts or refuses. Never calls back from inside.
  virtual void connect(ServiceRequest request, std::unique_ptr<Channel> channel) = 0;
};

class Provider {
 public:
  using HealthKey = std::tuple<uint16_t, Protocol, std::string, uint16_t>;  // gate, and the service behind it

  Provider(const Context& context, ServiceConnector& connector);

  /// Replaces the services; peers are told at once. Of those with one gate port, protocol and host the first counts. The first with a gate
  /// port and protocol (and the service host, when the gateway names it) answers for them.
  void set_services(std::vector<Service> services);
  const std::vector<Service>& services() const { return services_; }
  /// Of one of these; empty before its first client.
  ServiceHealth health(const Service& service) const;
  /// Of all that somebody has asked for.
  const std::map<HealthKey, std::shared_ptr<ServiceHealth>>& health() const { return health_; }
  /// For every service, JSON text, empty: none. A service's own policy comes before it and wins. Peers are told at once. False: with it the
  /// services would not fit into one message any more, the policy there was stays.
  bool set_ingress_policy(std::string policy);

  /// The key under which this process relays, to be advertised beside the routes.
  void set_relay(const std::optional<PublicKey>& relay);

  // From Node.
  void add_session(Session& session);
  void remove_session(Session& session) { sessions_.erase(&session); }
  void handle_open(Session& session, std::unique_ptr<Channel> channel, const OpenBody& request);
  /// Advertises again; every peer_refresh, a long message less often.
  void tick();
  /// Withdraws the routes and refuses new channels.
  void stop();

 private:
  static HealthKey key_of(const Service& service);
  void broadcast();
  void encode();
  void tell_of_left_out();

  const Context& context_;
  ServiceConnector& connector_;
  std::vector<Service> services_;
  std::map<HealthKey, std::shared_ptr<ServiceHealth>> health_;  // of those somebody asked for
  std::string ingress_policy_;
  FittedAdvertisement advertisement_;
  TimePoint advertised_{};
  std::optional<PublicKey> relay_;
  std::unordered_set<Session*> sessions_;
  bool stopping_ = false;
};

}  // namespace hg::tunnel
