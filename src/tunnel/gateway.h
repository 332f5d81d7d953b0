// The gateway role: knows the routes, says which gates should be open, and opens channels for their clients.
//
//   sessions ─routes─▶ RouteTable ─▶ gates() ─▶ relay::GateSet listens
//   client ─▶ open() ─▶ Opening: pick a route ─▶ ask ─▶ confirmed
//                          ▲   no route: wait      │ error: next provider, or give up at once when none is left
//                          └──── 100–600 ms ◀──────┘ silence: soon another provider if there is one, else after 15 s again
//                                                      no room for a request at any provider: once there is, in the order they came
//
// Owned by Node. One thread.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "tunnel/admission.h"
#include "tunnel/channel.h"
#include "tunnel/gate_traffic.h"
#include "tunnel/loop_check.h"
#include "tunnel/route_table.h"
#include "tunnel/session.h"

namespace hg::tunnel {

class Opening;

struct GateRequest {
  GateKey gate;
  ClientAddress client;
  ClientAddress listener;  // the gate's own address
};

/// What became of a peer's last advertisement, for people.
struct Offers {
  size_t routes = 0;             // that could be read
  size_t unusable = 0;           // that could not
  size_t filtered = 0;           // of `routes`: do not pass the filter
  std::vector<Service> looping;  // of `routes`: their gates stay closed, see LoopCheck
  std::vector<Service> unknown;  // of `routes`: likewise, until their names have been looked up
};

class Gateway {
 public:
  explicit Gateway(const Context& context);
  ~Gateway();

  /// Gates that do not pass any more close at once (open channels stay); those that pass now open with their provider's next advertisement.
  void set_filter(GateFilter filter);
  void set_leads_back(LeadsBack leads_back) { loops_.set_rule(std::move(leads_back)); }
  /// Called, never from inside another call into the gateway, when gates() may have changed.
  void on_gates_changed(std::function<void()> callback) { gates_changed_ = std::move(callback); }
  /// The gates that should be open now; none once stopping.
  std::vector<Gate> gates() const;
  const RouteTable& routes() const { return routes_; }
  const GateTraffic& traffic() const { return traffic_; }
  /// nullptr: the peer is gone.
  const Offers* offers(const PublicKey& peer) const;
  Admissions& admissions() { return admissions_; }
  const Admissions& admissions() const { return admissions_; }

  /// Opens a channel for a client; `handler` hears on_channel_open() or on_channel_closed() later, never from inside this call.
  std::unique_ptr<Channel> open(const GateRequest& request, ChannelHandler& handler);
  size_t openings() const { return openings_.size(); }
  /// False: a request for it would have to wait for room. A flow's first datagram is better dropped then.
  bool takes_flow(GateKey gate) const;

  // From Node.
  void add_session(Session& session);
  void remove_session(Session& session);
  void handle_routes(Session& session, ByteView json);
  /// A silent provider serves only what no other one does, and that for limits.silent_routes.
  void set_answering(Session& session, bool answering);
  void handle_stray_error(Session& session, const std::string& text);
  /// It has room again: those that waited for it ask.
  void go_on(Session& session);
  /// Every peer_refresh.
  void tick();
  /// No gates, no new channels; those being opened are closed.
  void stop();
  bool stopping() const { return stopping_; }

 private:
  friend class Opening;

  struct Member {
    Session* session;
    Hash32 last_routes{};  // BLAKE2b of the last advertisement
    Offers offers;
    std::set<std::string> names;  // hosts of services that were judged by name, see LoopCheck
    std::string untold;           // the last advertisement, while names are looked up
  };

  Session* session_of(const PublicKey& provider) const;
  bool has_room(const PublicKey& provider) const;
  void routes_changed();
  std::unique_ptr<Opening> release(Opening& opening);
  std::vector<Opening*> opening_list() const;
  void expire_lingering();
  void take_loops(Member& member, std::vector<Service>& routes, const std::vector<Service>& told);
  void tell_loop(const Session& session, const Service& service);
  void judge_anew();

  const Context& context_;
  LoopCheck loops_;
  RouteTable routes_;
  Admissions admissions_;
  std::unordered_map<PublicKey, Member, ArrayHash> members_;
  size_t early_openings_ = 0;  // of those below, that may keep what their clients say
  std::list<Opening*> line_;   // those that wait for room
  std::unordered_map<const Opening*, std::unique_ptr<Opening>> openings_;
  std::map<GateKey, std::pair<Gate, TimePoint>> lingering_;
  GateTraffic traffic_;
  Timer linger_timer_;
  Timer silent_timer_;
  std::function<void()> gates_changed_;
  bool notice_posted_ = false;
  bool stopping_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hg::tunnel
