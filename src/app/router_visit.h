// A look at a router without taking part: joins its topic as a member that announces nothing, opens no gate and offers nothing, and
// says hello to whom it finds.
//
//   start() ─▶ peers found, connected, hello, routes … ─▶ settled() ─▶ node().peers(), strangers() ─▶ leave()
//
// With a name beside the secret, who is found in the topic of that name is looked at, not spoken to: we lack the secret of it. Where no
// direct path exists it goes through members that relay, as any member would. Owned by a command; the loop and the network outlive it.
// One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "app/network.h"
#include "tunnel/node.h"

namespace hg::app {

struct RouterVisitOptions {
  std::optional<Topic> name;
  bool ask_status = false;  // gateways, whom /unlimited lets in
};

class RouterVisit {
 public:
  static constexpr Duration kQuiet = 1500ms;  // without news

  RouterVisit(io::Loop& loop, Network& network, const Seed& secret, const tunnel::Limits& limits, RouterVisitOptions options = {});
  ~RouterVisit();

  void start();
  /// The look-ups are over, and nobody has been heard of for kQuiet.
  bool settled() const;
  tunnel::Node& node() { return *node_; }
  struct Stranger {
    PublicKey key{};
    noise::ConnectionStats stats;
  };
  std::vector<Stranger> strangers() const;
  /// The member that relays under the key `relay`; nullopt: nobody has said so.
  std::optional<PublicKey> member_relaying_as(const PublicKey& relay) const;
  /// Ends every session; `done` runs once.
  void leave(std::function<void()> done);

 private:
  class Onlooker;

  void news() { last_news_ = loop_.now(); }
  void add(std::unique_ptr<noise::Connection> connection, const swarm::PeerInfo& info);

  io::Loop& loop_;
  Network& network_;
  const tunnel::RouterKeys keys_;
  const RouterVisitOptions options_;
  std::unique_ptr<tunnel::Node> node_;
  std::vector<std::unique_ptr<Onlooker>> onlookers_;
  std::map<PublicKey, PublicKey> relays_;  // by the relay key
  std::vector<std::unique_ptr<swarm::Discovery>> discoveries_;
  size_t looked_up_ = 0;
  TimePoint last_news_{};
};

}  // namespace hg::app
