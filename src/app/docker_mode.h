// Docker mode of a member: what containers offer is provided beside the services of files, and remote services get helper gateways.
//
//   provider: Watcher ─containers─▶ discover() ─▶ Provider::set_services()      channels go to the container's address on the network
//   gateway:  routes learned, less local hosts ─▶ Helpers::want()
//
// A host whose routes go keeps its helper for kLinger (a provider that restarts), and while a provider that fell silent is waited for; one
// that becomes local, or that a changed filter excludes, loses it at once; one that was local a moment ago gets none yet (LocalHosts).
// Owned by Member, which calls routes_changed(); must go before the Node. One thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/local_hosts.h"
#include "app/offered_hosts.h"
#include "base/timer.h"
#include "docker/discovery.h"
#include "docker/engine.h"
#include "docker/helpers.h"
#include "docker/watcher.h"
#include "tunnel/node.h"

namespace hg::app {

class DockerMode final : public tunnel::ServiceConnector {
 public:
  /// `files`: the services of files, offered first. `links` makes the connections; null without the provider role.
  DockerMode(io::Loop& loop, const Config& config, const PublicKey& router_name, std::vector<tunnel::Service> files,
             tunnel::GateFilter filter, tunnel::ServiceConnector* links);
  ~DockerMode() override;

  void start(tunnel::Node& node);
  /// The services of files changed.
  void set_files(std::vector<tunnel::Service> files);
  /// The gateway's filter changed; its node knows.
  void set_filter(tunnel::GateFilter filter);
  /// A peer's routes were learned, changed or lost.
  void routes_changed();
  /// Removes the helpers; `done` is called once, later, whether the engine answers or not.
  void stop(std::function<void()> done);

  /// A container's service is reached at its address: its name means something on its network only.
  void connect(tunnel::ServiceRequest request, std::unique_ptr<tunnel::Channel> channel) override;

 private:
  static constexpr Duration kLinger = 3s;

  void containers_changed(const std::vector<docker::Container>& containers);
  void offer();
  void looked_up();
  void make_helpers();
  void follow_routes();

  io::Loop& loop_;
  const Config config_;
  const std::string router_name_;   // hex
  const std::string short_router_;  // its first digits
  const std::string network_;
  std::vector<tunnel::Service> files_;
  tunnel::GateFilter filter_;
  tunnel::ServiceConnector* links_;
  tunnel::Node* node_ = nullptr;
  docker::Engine engine_;
  std::unique_ptr<docker::Watcher> watcher_;
  std::unique_ptr<docker::Helpers> helpers_;
  docker::Discovery found_;
  OfferedHosts offered_;
  std::map<docker::Discovery::Key, size_t> turns_;  // of services with several containers
  LocalHosts local_;
  std::map<std::string, TimePoint> linger_until_;  // wanted hosts, and until when without a route
  std::set<std::string> faults_said_;
  Timer routes_timer_;
  bool stopping_ = false;
};

}  // namespace hg::app
