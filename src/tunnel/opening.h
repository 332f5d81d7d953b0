// One client's search for a provider, from Gateway::open() until the channel is confirmed or given up. See gateway.h for the states.
//
// What the client says meanwhile follows the request at once (feature "early"), where it may be repeated: its answer is one round trip
// away, and if this provider refuses or does not answer, the next one gets it. Everything else waits for the confirmation.
#pragma once

#include <list>
#include <optional>
#include <string>
#include <vector>

#include "base/timer.h"
#include "tunnel/early_data.h"
#include "tunnel/gateway.h"

namespace hg::tunnel {

class Opening final : public ChannelOpener {
 public:
  Opening(Gateway& gateway, const GateRequest& request, Channel& channel, ChannelHandler& handler);
  ~Opening() override;

  void start() { attempt(); }
  /// Routes came: a waiting request goes on.
  void routes_changed();
  /// A provider that had no room has some.
  void go_on();
  /// A provider that names no channel in its errors has no service on this gate.
  void stray_error(Session& session, uint16_t gate_port);
  void give_up(CloseReason reason);

  void on_open_confirmed(std::string_view json) override;
  void on_open_refused(const std::string& why) override;
  void on_open_session_lost() override;
  void on_open_cancelled() override;
  bool on_early_data(ByteView data) override { return early_data_.add(data); }

 private:
  enum class Phase { kWaiting, kAsked, kBackOff, kFailing };

  void attempt();
  void ask(const RouteTable::Pick& pick, std::vector<std::string> labels);
  void on_timer();
  void asked_timer();
  bool may_be_early(const Session& session);
  bool other_may_answer(TimePoint now) const;
  Duration hedge_after() const;
  void back_off();
  void wait_for_routes();
  void wait_for_room();
  void leave_line();
  void fail(CloseReason reason);
  /// Frees the channel from this opening and hands the opening over to be destroyed when the caller returns.
  std::unique_ptr<Opening> leave();

  Gateway& gateway_;
  const Context& context_;
  Channel& channel_;
  ChannelHandler& handler_;
  const GateRequest request_;
  const std::string id_;
  const int64_t opened_at_ms_;
  const TimePoint give_up_at_;
  Phase phase_ = Phase::kWaiting;
  CloseReason reason_ = CloseReason::kNoRoute;
  PublicKey provider_{};
  std::shared_ptr<const IngressPolicy> policy_;  // of the route to it
  TimePoint asked_at_{};
  OpenTerms asked_;
  bool limited_ = false;
  bool early_ = false;  // the provider asked takes it
  bool holds_early_place_ = false;
  EarlyData early_data_;
  std::vector<PublicKey> tried_;
  std::optional<std::list<Opening*>::iterator> place_;  // in the line for room
  bool timed_out_ = false;
  bool left_ = false;
  Timer timer_;
};

}  // namespace hg::tunnel
