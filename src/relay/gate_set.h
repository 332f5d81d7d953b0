// A gateway's listeners: one per gate (port and protocol) on the listen address, following Gateway::gates().
//
//   gates changed ─▶ open what is new (a port that cannot be bound is logged and tried again, 1 s doubling to 30 s) · what is gone takes no
//   new clients, and leaves with the last it has: channels outlive the routes of a provider that is silent or stops
//
// Owned by app, beside the tunnel::Node, which outlives it. One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/loop.h"
#include "io/socket_address.h"
#include "relay/link_context.h"
#include "tunnel/gateway.h"
#include "tunnel/node.h"

namespace hg::relay {

/// One open (or wanted) gate, for people.
struct GateStatus {
  tunnel::Gate gate;
  bool listening = false;
  std::string address;  // "127.0.0.1:8080"
  std::string fault;    // why it does not listen
  size_t clients = 0;
};

class GateListener;

class GateSet {
 public:
  /// `listen`: the address all gates bind (its port is ignored). The node must have the gateway role.
  GateSet(io::Loop& loop, tunnel::Node& node, io::SocketAddress listen);
  ~GateSet();

  /// Called when a gate opened, closed or failed to.
  void on_changed(std::function<void()> callback) { changed_ = std::move(callback); }
  std::vector<GateStatus> status() const;
  /// Those of gates that leave included.
  size_t clients() const;
  size_t clients(tunnel::GateKey gate) const;
  /// What clients have not taken yet of channels that are closed.
  size_t bytes_left_behind() const { return context_.left_behind.bytes(); }
  /// Stops listening for good and leaves the clients alone (before Node::shutdown()).
  void stop_listening();

 private:
  struct Slot {
    tunnel::Gate gate;
    std::unique_ptr<GateListener> listener;
    std::string fault;
    Duration back_off{};
    TimePoint retry_at{};
  };

  void follow();
  void leave(Slot& slot);
  void bind(Slot& slot);
  void retry_due();
  void arm_retry();
  void sweep();

  LinkContext context_;
  tunnel::Gateway& gateway_;
  io::SocketAddress listen_;
  std::map<tunnel::GateKey, Slot> slots_;
  std::map<tunnel::GateKey, std::unique_ptr<GateListener>> leaving_;  // each had a client when its gate went
  std::function<void()> changed_;
  Timer retry_timer_;
  Timer idle_timer_;
  bool stopped_ = false;
};

}  // namespace hg::relay
