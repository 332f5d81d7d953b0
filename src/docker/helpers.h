// Helper gateways: for each remote service host a container on the network that bears its name, so that containers here reach it.
//
//   want(hosts), events, refresh ─▶ pass: list ─▶ dead, stale and stray ones removed ─▶ missing ones created ─▶ files put ─▶ started
//                                          ├▶ another filter than they were told: files put again (they follow them)
//                                          └▶ ones no longer wanted: stopped and removed, beside the pass
//   stop() ─▶ all of ours stopped and removed, or not within stop_limit: a warning says how ─▶ done
//
// A pass makes the engine's state fit what is wanted, so it does not matter who killed what. A helper of another living gateway (label
// hypergate.owner) is left alone, and serves its host for us as well; one whose owner is gone is removed. A host whose helper cannot be
// made, keeps dying or keeps losing the network is tried again after 0.5 s doubling to 30 s. Owned by app; the Engine outlives it. One
// thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/timer.h"
#include "docker/container.h"
#include "docker/engine.h"
#include "docker/helper_spec.h"

namespace hg::docker {

/// Containers that peers can make us start.
inline constexpr size_t kMaxHelpers = 256;

struct HelperOptions {
  HelperSpec common;  // `host` unused
  std::string secret;
  Duration stop_limit = 6s;  // for the engine to remove all helpers at the end
};

class Helpers {
 public:
  Helpers(io::Loop& loop, Engine& engine, HelperOptions options);
  ~Helpers();

  /// The remote hosts that need a helper, at most kMaxHelpers of them.
  void want(const std::set<std::string>& hosts);
  /// The gateway's own, for those that run as well.
  void set_filter(std::vector<tunnel::GateMatch> filter);
  /// A helper may have died, or the engine is back.
  void check();
  void on_event(const Event& event);
  /// Removes all of ours; `done` is called once, later, at the latest after stop_limit. What was asked for then goes on.
  void stop(std::function<void()> done);

 private:
  struct Pass;
  struct Trouble {
    Duration back_off{};
    TimePoint retry_at{};
    TimePoint started_at{};
    std::string said;
  };

  void pass();
  void sort_out(std::shared_ptr<Pass> pass, const std::vector<ListedContainer>& list);
  void settle_trouble(const std::set<std::string>& served);
  bool owner_alive(const std::string& owner, const std::set<std::string>& running) const;
  void remove_dead(std::shared_ptr<Pass> pass, const std::string& id);
  void retire(const std::string& id, const std::string& name);
  void create_missing(std::shared_ptr<Pass> pass);
  void create(std::shared_ptr<Pass> pass, const std::string& host);
  void put_files(const std::string& host, const std::string& id, std::function<void(std::string fault)> then);
  void tell_filter(std::shared_ptr<Pass> pass, const std::string& host, const std::string& id);
  void start(std::shared_ptr<Pass> pass, const std::string& host, const std::string& id);
  void failed(std::shared_ptr<Pass> pass, const std::string& host, const std::string& what, const std::string& id = {});
  void release(std::shared_ptr<Pass> pass);
  void arm_retry();
  void finish_stop();
  void give_up_stop();
  void end_stop();
  void ask(Request request, Engine::Callback then);

  io::Loop& loop_;
  Engine& engine_;
  HelperOptions options_;
  std::set<std::string> wanted_;
  std::map<std::string, Trouble> trouble_;   // by host
  std::set<std::string> retiring_;           // ids being stopped and removed
  std::map<std::string, std::string> told_;  // id → the filter it was given
  std::set<std::string> elsewhere_;          // hosts served by another gateway's helper, as last logged
  bool busy_ = false;
  bool again_ = false;
  bool stopping_ = false;
  std::function<void()> stopped_;
  Timer timer_;
  Timer stop_limit_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hg::docker
