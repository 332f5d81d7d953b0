// A look at a router without taking part: joins its topic as a member that announces nothing, opens no gate and offers nothing, and
// says hello to whom it finds.
//
//   start() ─▶ peers found, connected, hello, routes … ─▶ settled() ─▶ node().peers() ─▶ leave()
//
// Owned by a command; the loop and the network outlive it. One thread.
#pragma once

#include <functional>
#include <memory>

#include "app/network.h"
#include "tunnel/node.h"

namespace hg::app {

class RouterVisit {
 public:
  static constexpr Duration kQuiet = 1500ms;  // without news

  RouterVisit(io::Loop& loop, Network& network, const Seed& secret, const tunnel::Limits& limits);

  void start();
  /// The look-up is over, and nobody has been heard of for kQuiet.
  bool settled() const;
  tunnel::Node& node() { return *node_; }
  /// Ends every session; `done` runs once.
  void leave(std::function<void()> done);

 private:
  void news() { last_news_ = loop_.now(); }

  io::Loop& loop_;
  Network& network_;
  const tunnel::RouterKeys keys_;
  std::unique_ptr<tunnel::Node> node_;
  std::unique_ptr<swarm::Discovery> discovery_;
  bool looked_up_ = false;
  TimePoint last_news_{};
};

}  // namespace hg::app
