// Keeps a picture of the running containers on one network, current to within moments of an event.
//
//   start() ─▶ follow events ─open─▶ look-up ─▶ on_containers()     event ─▶ look-up (joined over kGather)     refresh ─▶ look-up, all anew
//      ▲             │ closed                      │ fails
//      └── back-off ◀┴─────────────────────────────┘
//   look-up: own container? ─▶ network there? (else create; another one that was made meanwhile stays, the younger goes) ─▶ attach own
//   container? ─▶ list ─▶ inspect what is not known ─▶ publish
//
// While the engine cannot be reached the last picture stays: containers may outlive their engine. Owned by app; the Engine outlives it.
// One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/timer.h"
#include "docker/container.h"
#include "docker/engine.h"

namespace hg::docker {

inline constexpr size_t kMaxContainers = 4096;

struct WatchOptions {
  std::string network;
  bool attach_self = false;           // a provider in a container must be on the network to reach it
  std::optional<std::string> own_id;  // as the system tells; the engine is asked whether it knows it
  Duration refresh = 20s;
};

class Watcher {
 public:
  struct Callbacks {
    /// The running containers on the network, ordered by id; called after each look-up that changed them, and after the first.
    std::function<void(const std::vector<Container>&)> on_containers;
    /// Each event as it comes, before the look-up that follows it.
    std::function<void(const Event&)> on_event;
    /// Each look-up that succeeded: the engine answers.
    std::function<void()> on_look_up;
  };

  Watcher(io::Loop& loop, Engine& engine, WatchOptions options, Callbacks callbacks);
  ~Watcher();

  void start();
  /// Our own container, once the first look-up is through; nullopt: this engine does not run us.
  const std::optional<Container>& self() const { return self_; }

 private:
  struct LookUp;

  void connect();
  void lost(const Error& error);
  void event(const Event& event);
  void look_up();
  void find_self(std::shared_ptr<LookUp> run);
  void ensure_network(std::shared_ptr<LookUp> run);
  void create_network(std::shared_ptr<LookUp> run);
  void settle_network(std::shared_ptr<LookUp> run, const std::string& made);
  void attach_self(std::shared_ptr<LookUp> run);
  void list(std::shared_ptr<LookUp> run);
  void inspect(std::shared_ptr<LookUp> run, const std::string& id);
  void publish();
  void finished();
  /// Sends a request whose callback is dropped when the run is not the current one; an Error ends the run.
  void ask(std::shared_ptr<LookUp> run, Request request, std::function<void(const Answer&)> then);
  void say_once(std::string& last, const std::string& line);

  io::Loop& loop_;
  Engine& engine_;
  WatchOptions options_;
  Callbacks callbacks_;
  std::unique_ptr<EventStream> events_;
  std::shared_ptr<LookUp> run_;
  bool again_ = false;
  bool everything_ = true;  // the next look-up inspects all containers anew
  bool connected_ = false;
  bool self_known_ = false;
  std::optional<Container> self_;
  std::map<std::string, Container> known_;
  std::set<std::string> stale_;  // ids that an event named since they were inspected, at most kMaxContainers
  std::optional<std::vector<Container>> published_;
  Duration back_off_;
  std::string engine_fault_;
  std::string network_id_;  // of the last look-up; empty: not known
  std::string network_fault_;
  std::string attach_fault_;
  Timer reconnect_timer_;
  Timer gather_timer_;
  Timer refresh_timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hg::docker
