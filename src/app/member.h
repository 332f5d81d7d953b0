// A member of a router: provider, gateway or both, from start-up to a polite end.
//
//   derive keys (helper thread) ┐
//   bootstrap the DHT           ┴▶ join the router's topic ─▶ sessions ─▶ gates / services
//   SIGINT, SIGTERM ─▶ withdraw routes, leave ─▶ let channels finish (5 s) ─▶ unannounce ─▶ exit 0
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/docker_mode.h"
#include "app/endpoints.h"
#include "app/loneliness.h"
#include "app/network.h"
#include "app/own_gate.h"
#include "app/relay_role.h"
#include "app/service_manager.h"
#include "app/source_watch.h"
#include "relay/gate_set.h"
#include "relay/service_links.h"
#include "tunnel/node.h"

namespace hg::app {

struct MemberPlan {
  Config config;
  std::vector<Source> sources;
  Wanted wanted;  // what they say
};

class Member {
 public:
  Member(io::Loop& loop, MemberPlan plan);
  ~Member();

  /// Runs until told to stop; the exit status.
  int run();

 private:
  const OwnNames& names_of_ours();
  void join();
  void stop();
  void leave_network();
  std::string status();
  void log_gates();
  void log_stats();
  tunnel::GateFilter filter() const;
  void follow(const Wanted& wanted);
  void change_filter();
  void offer();

  io::Loop& loop_;
  MemberPlan plan_;
  Network network_;
  tunnel::RouterKeys keys_;
  bool keys_ready_ = false;
  bool stopping_ = false;
  std::unique_ptr<relay::ServiceLinks> links_;
  OwnNames own_names_;
  TimePoint own_names_at_{};
  std::unique_ptr<tunnel::Node> node_;
  std::unique_ptr<RelayRole> relay_;
  std::unique_ptr<SourceWatch> watch_;
  std::unique_ptr<DockerMode> docker_;
  std::unique_ptr<relay::GateSet> gates_;
  std::unique_ptr<Endpoints> endpoints_;
  std::unique_ptr<swarm::Discovery> discovery_;
  std::set<std::string> gates_shown_;
  Timer stats_timer_;
  std::unique_ptr<LonelinessNotice> loneliness_;
  ServiceManager manager_;
};

}  // namespace hg::app
